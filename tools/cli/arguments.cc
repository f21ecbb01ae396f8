// The only file of flashcp that knows CLI11: flags are stored as the text they were given as.

#include "tools/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "compiler/solver/cluster.h"
#include "compiler/solver/strategies.h"
#include "runtime/device.h"
#include "runtime/plan/plan.h"
#include "support/command_line.h"
#include "support/nearest_name.h"

namespace flashcp::cli {
namespace {

constexpr char kVersion[] = "0.1.0";

constexpr char kFooter[] =
    "Exit codes: 0 done; 1 the check or the work failed; 2 bad usage or bad input.\n"
    "Results go to standard output, everything else to standard error.";

// The parser and the flags that it fills in.
class CommandLine {
 public:
  CommandLine()
      : app_("FlashCP plans context-parallel attention of packed documents, and runs it.",
             "flashcp") {
    app_.footer(kFooter);
    app_.set_version_flag("--version", absl::StrCat("flashcp ", kVersion, " (plan format version ",
                                                    kPlanVersion, ")"));
    app_.require_subcommand(0, 1);
    app_.allow_extras();  // inherited by the commands; Unexpected() has the better messages
    AddCompile();
    AddInspect();
    AddVerify();
    AddCompare();
    AddCluster();
    AddRun();
    AddCalibrate();
  }

  absl::StatusOr<Arguments> Parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      const CLI::App& chosen = Chosen();
      return Arguments{ShowText{chosen.help(&chosen == &app_ ? "" : "flashcp")}};
    } catch (const CLI::CallForVersion& version) {
      return Arguments{ShowText{absl::StrCat(version.what(), "\n")}};
    } catch (const CLI::ParseError& error) {
      return Usage(Chosen(), error.what());
    }
    return Result();
  }

 private:
  CLI::App* AddCommand(const char* name, const char* description) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->add_flag("--quiet", quiet_, "no notes on standard error, errors only");
    return command;
  }

  static void AddInput(CLI::App* command, const char* name, std::string* value,
                       const char* description) {
    command->add_option(name, *value, description)->type_name("")->required()->check(RefuseEmpty);
  }
  static void AddText(CLI::App* command, const char* name, std::string* value, const char* type,
                      const std::string& description) {
    command->add_option(name, *value, description)
        ->type_name(type)
        ->capture_default_str()
        ->check(RefuseEmpty);
  }

  static void AddPlanning(CLI::App* command, PlanningFlags* flags) {
    AddInput(command, "LENGTHS", &flags->lengths,
             "document lengths: text, JSON or JSON Lines; - is standard input");
    AddText(command, "--batch", &flags->batch, "K", "which batch of LENGTHS, from 0");
    AddText(command, "--ranks", &flags->ranks, "N",
            "ranks of the context-parallel group (without it: the cluster's)");
    AddText(command, "--heads", &flags->heads, "Q:KV", "query heads, and key and value heads");
    AddText(command, "--head-dim", &flags->head_dim, "D", "elements of one head");
    AddText(command, "--dtype", &flags->dtype, "f32|bf16|f16", "of Q, K, V and O");
    AddText(command, "--mask", &flags->mask, "causal|full|window:W",
            "of documents that do not name their own");
    AddText(command, "--cluster", &flags->cluster, "PRESET|FILE.json",
            absl::StrCat("presets: ", absl::StrJoin(solver::ClusterPresetNames(), ", ")));
    AddText(command, "--exchange", &flags->exchange, "needed|all-gather",
            "which K/V rows a rank gets: those it attends to, or all");
    AddText(command, "--slack", &flags->slack, "PERCENT",
            "tokens that a rank may own above its equal share");
    AddText(command, "--time-budget", &flags->time_budget, "MS",
            "how long strategy auto searches, milliseconds of one core, counted in steps");
  }

  void AddCompile() {
    CLI::App* command = AddCommand("compile", "make a plan for a batch of documents");
    AddPlanning(command, &compile_.planning);
    AddText(command, "--strategy", &compile_.strategy, "NAME",
            absl::StrJoin(solver::StrategyNames(), ", "));
    AddText(
        command, "--memory-budget", &compile_.memory_budget, "MIB",
        "memory of a rank for K/V rows of others that stay from forward to backward, instead of "
        "being sent again");
    command->add_flag("--timing", compile_.timing, "where planning time goes, on standard error");
    AddText(command, "--emit", &compile_.emit, "plan|ir|json",
            "the plan file, its scheduled IR, or what inspect --json prints");
    AddText(command, "-o,--output", &compile_.output, "FILE",
            "- is standard output, the default for ir and json");
  }

  void AddInspect() {
    CLI::App* command = AddCommand("inspect", "print what a plan holds");
    AddInput(command, "PLAN", &inspect_.plan, "a plan file");
    command->add_flag("--all-ranks", inspect_.all_ranks,
                      "a row for each rank, however many there are");
    command->add_flag("--timing", inspect_.timing,
                      "plan the same inputs again, and say how long that takes");
    command->add_flag("--json", inspect_.json, "one JSON object");
  }

  void AddVerify() {
    CLI::App* command = AddCommand("verify", "check every rule of a plan");
    AddInput(command, "PLAN", &verify_.plan, "a plan file");
  }

  void AddCompare() {
    CLI::App* command = AddCommand("compare", "plan a batch with every strategy, one table");
    AddPlanning(command, &compare_.planning);
    command->add_flag("--json", compare_.json, "one JSON object");
  }

  void AddCluster() {
    CLI::App* command =
        AddCommand("cluster", "print a cluster as JSON, to change it and use it as --cluster");
    AddInput(
        command, "NAME", &cluster_.cluster,
        absl::StrCat("a preset: ", absl::StrJoin(solver::ClusterPresetNames(), ", "), "; or a file")
            .c_str());
  }

  void AddRun() {
    CLI::App* command = AddCommand(
        "run", "run a plan forward, all ranks in this process or one in each of an mpirun");
    AddInput(command, "PLAN", &run_.plan, "a plan file");
    AddText(command, "--inputs", &run_.inputs, "DIR",
            "folder of q.npy, k.npy and v.npy in global token order (without it: random tensors)");
    AddText(command, "--outputs", &run_.outputs, "DIR", "folder to write o.npy and lse.npy to");
    AddText(command, "--trace", &run_.trace, "FILE",
            "timeline of the last iteration, for ui.perfetto.dev");
    command->add_flag("--backward", run_.backward, "gradients too, from do.npy or random ones");
    command->add_flag("--check", run_.check, "compare with a float64 reference");
    command->add_flag("--check-finite", run_.check_finite,
                      "refuse inputs with a NaN or an infinity, and name the first");
    AddText(command, "--iterations", &run_.iterations, "K", "forward passes, each timed");
    AddText(command, "--seed", &run_.seed, "N", "of the random tensors");
    AddText(command, "--transport", &run_.transport, "threads|mpi",
            "ranks are threads (the default), or processes of mpirun");
    AddText(command, "--timeout", &run_.timeout, "SECONDS", "of every wait for another rank");
    AddText(command, "--device", &run_.device, "cpu", "where ranks compute");
    AddText(command, "--kernels", &run_.kernels, "NAME",
            absl::StrCat("generated: those that this CPU runs fastest; reference: the plain ones; "
                         "on this CPU run ",
                         absl::StrJoin(CpuKernelNames(), ", ")));
    AddText(command, "--threads", &run_.threads, "N",
            "threads of each rank that compute attention");
  }

  void AddCalibrate() {
    CLI::App* command =
        AddCommand("calibrate", "measure this host and write a cluster for compile --cluster");
    AddText(command, "--device", &calibrate_.device, "cpu", "what to measure");
    AddText(command, "--ranks", &calibrate_.ranks, "N",
            "ranks at work at the same time (without it: one for each core, over --threads)");
    AddText(command, "--threads", &calibrate_.threads, "N", "of each rank");
    AddText(command, "--heads", &calibrate_.heads, "Q:KV", "of the plans that will run");
    AddText(command, "--head-dim", &calibrate_.head_dim, "D", "of the plans that will run");
    AddText(command, "--dtype", &calibrate_.dtype, "f32|bf16|f16", "of the plans that will run");
    AddText(command, "--tokens", &calibrate_.tokens, "T",
            "of each rank, and of the longest document that is measured");
    AddText(command, "-o,--output", &calibrate_.output, "FILE", "- is standard output");
  }

  // The command of this command line, or the program itself.
  const CLI::App& Chosen() const {
    std::vector<const CLI::App*> commands =
        app_.get_subcommands([](const CLI::App* command) { return command->count() > 0; });
    return commands.empty() ? app_ : *commands[0];
  }

  absl::Status Usage(const CLI::App& command, absl::string_view message) const {
    std::string name = &command == &app_ ? "" : command.get_name();
    return absl::InvalidArgumentError(absl::StrCat(name, name.empty() ? "" : ": ", message,
                                                   " (see 'flashcp ", name, name.empty() ? "" : " ",
                                                   "--help')"));
  }

  // An argument that the parser had no place for.
  absl::Status Unexpected(const CLI::App& command, const std::string& argument) const {
    if (absl::StartsWith(argument, "-") && argument.size() > 1) {
      std::vector<std::string> flags;
      for (const CLI::Option* option : command.get_options()) {
        for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
      }
      std::string name = argument.substr(0, argument.find('='));
      return Usage(command, UnknownNameMessage("flag", name, flags));
    }
    if (&command != &app_) return Usage(command, absl::StrCat("unexpected '", argument, "'"));
    return Usage(command, UnknownNameMessage("command", argument, CommandNames()));
  }

  std::vector<std::string> CommandNames() const {
    std::vector<std::string> names;
    for (const CLI::App* command : app_.get_subcommands(nullptr)) {
      names.push_back(command->get_name());
    }
    return names;
  }

  // What the parser has filled in, once no argument is left over or missing.
  absl::StatusOr<Arguments> Result() const {
    const CLI::App& command = Chosen();
    for (const CLI::App* app : {&app_, &command}) {
      std::vector<std::string> extras = app->remaining();
      if (!extras.empty()) return Unexpected(*app, extras[0]);
    }
    if (&command == &app_) {
      return Usage(app_, absl::StrCat("expected a command: ", absl::StrJoin(CommandNames(), ", ")));
    }
    const std::string& name = command.get_name();
    if (name == "compile") return Arguments{compile_, quiet_};
    if (name == "inspect") return Arguments{inspect_, quiet_};
    if (name == "verify") return Arguments{verify_, quiet_};
    if (name == "compare") return Arguments{compare_, quiet_};
    if (name == "cluster") return Arguments{cluster_, quiet_};
    if (name == "run") return Arguments{run_, quiet_};
    return Arguments{calibrate_, quiet_};
  }

  CLI::App app_;
  bool quiet_ = false;
  CompileFlags compile_;
  InspectFlags inspect_;
  VerifyFlags verify_;
  CompareFlags compare_;
  ClusterFlags cluster_;
  RunFlags run_;
  CalibrateFlags calibrate_;
};

}  // namespace

absl::StatusOr<Arguments> ParseArguments(int argc, const char* const* argv) {
  return CommandLine().Parse(argc, argv);
}

}  // namespace flashcp::cli

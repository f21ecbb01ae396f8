// The only file of flashcp that knows CLI11: values of flags stay text, as the user gave them.

#include "tools/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "api/flashcp.h"
#include "model/cluster.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/plan/plan.h"
#include "support/command_line.h"
#include "support/nearest_name.h"

namespace flashcp::cli {
namespace {

constexpr char kQuiet[] = "print no notes on standard error, errors only";

constexpr char kFooter[] =
    "Exit codes: 0 done; 1 the check or the work failed; 2 bad usage or bad input.\n"
    "Results go to standard output, everything else to standard error.";

// Breaks a text into lines that, beside the column of names, fit in 100 columns.
std::string Wrapped(absl::string_view text) {
  constexpr size_t kWidth = 70;
  std::string result;
  size_t column = 0;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column > 0) {
      const bool fits = column + 1 + word.size() <= kWidth;
      result += fits ? ' ' : '\n';
      column = fits ? column + 1 : 0;
    }
    absl::StrAppend(&result, word);
    column += word.size();
  }
  return result;
}

// The parser and the flags that it fills in.
class CommandLine {
 public:
  CommandLine()
      : app_("FlashCP plans context-parallel attention of packed documents, and runs it.",
             "flashcp") {
    app_.footer(absl::StrCat("Example: flashcp compile examples/batch_128k.txt -o batch.plan\n\n",
                             kFooter));
    app_.add_flag("--quiet", quiet_, kQuiet);
    app_.set_version_flag(
        "--version",
        absl::StrCat("flashcp ", FLASHCP_VERSION_MAJOR, ".", FLASHCP_VERSION_MINOR, ".",
                     FLASHCP_VERSION_PATCH, " (plan format version ", kPlanVersion, ")"));
    app_.require_subcommand(0, 1);
    app_.allow_extras();  // inherited by the commands; Unexpected() has the better messages
    AddCompile();
    AddInspect();
    AddVerify();
    AddCompare();
    AddCluster();
    AddRun();
    AddCalibrate();
    AddHelp();
  }

  absl::StatusOr<Arguments> Parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      return Help(Chosen());
    } catch (const CLI::CallForVersion& version) {
      return Arguments{ShowText{absl::StrCat(version.what(), "\n")}};
    } catch (const CLI::ArgumentMismatch& error) {  // "--flag: what the library says"
      const std::string text = error.what();
      return Usage(Chosen(), absl::StrCat(text.substr(0, text.find(": ")), ": expected a value"));
    } catch (const CLI::ParseError& error) {
      return Usage(Chosen(), error.what());
    }
    return Result();
  }

 private:
  // Adds a command; the example is a command line without "flashcp" and the name.
  CLI::App* AddCommand(const char* name, const char* description, const char* example) {
    CLI::App* command = app_.add_subcommand(name, Wrapped(description));
    command->add_flag("--quiet", quiet_, kQuiet);
    command->footer(absl::StrCat("Example: flashcp ", name, " ", example, "\n\n", kFooter));
    return command;
  }

  static void AddInput(CLI::App* command, const char* name, std::string* value,
                       const char* description) {
    command->add_option(name, *value, Wrapped(description))
        ->type_name("")
        ->required()
        ->check(RefuseEmpty);
  }
  static void AddText(CLI::App* command, const std::string& name, std::string* value,
                      const std::string& type, const std::string& description) {
    command->add_option(name, *value, Wrapped(description))
        ->type_name(type)
        ->capture_default_str()
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)  // GivenTwice() has the message
        ->check(RefuseEmpty);
  }

  // Adds the flags of planning; `single` is true if there is one plan, by one strategy.
  static void AddPlanning(CLI::App* command, bool single, PlanningFlags* flags) {
    command
        ->add_option("LENGTHS", flags->lengths,
                     Wrapped("document lengths: text, JSON or JSON Lines; - is standard input; "
                             "without it those of --layout-of"))
        ->type_name("")
        ->check(RefuseEmpty);
    AddText(command, "--batch", &flags->batch, "K", "which batch of LENGTHS, counted from 0");
    for (const BatchOption& option : BatchOptions()) {
      const std::string name = option.name;
      if (!single && (name == "strategy" || name == "memory-budget")) continue;
      AddText(command, absl::StrCat("--", name), &flags->options[name], option.value, option.help);
    }
  }

  void AddCompile() {
    CLI::App* command = AddCommand("compile", "make a plan for a batch of documents",
                                   "lengths.txt --ranks 8 --cluster h100-ib8 -o batch.plan");
    AddPlanning(command, /*single=*/true, &compile_.planning);
    command->add_flag("--timing", compile_.timing,
                      "print where planning time goes, on standard error");
    AddText(command, "--emit", &compile_.emit, "plan|ir|json",
            "what to write: the plan file, its scheduled IR, or what inspect --json prints");
    AddText(command, "-o,--output", &compile_.output, "FILE",
            "file to write; - is standard output, the default for ir and json");
  }

  void AddInspect() {
    CLI::App* command = AddCommand("inspect", "print what a plan holds", "batch.plan --json");
    AddInput(command, "PLAN", &inspect_.plan, "a plan file");
    command->add_flag("--all-ranks", inspect_.all_ranks,
                      "print a row for each rank, however many there are");
    command->add_flag("--timing", inspect_.timing,
                      "plan the same inputs again, and say how long that takes");
    command->add_flag("--json", inspect_.json, "print one JSON object");
  }

  void AddVerify() {
    CLI::App* command = AddCommand("verify", "check every rule of a plan", "batch.plan");
    AddInput(command, "PLAN", &verify_.plan, "a plan file");
  }

  void AddCompare() {
    CLI::App* command = AddCommand("compare", "plan a batch with every strategy, one table",
                                   "lengths.txt --ranks 8 --cluster h100-ib8");
    AddPlanning(command, /*single=*/false, &compare_.planning);
    command->add_flag("--json", compare_.json, "print one JSON object");
  }

  void AddCluster() {
    CLI::App* command =
        AddCommand("cluster", "print a cluster as JSON, to change it and use it as --cluster",
                   "h100x8 > mine.json");
    AddInput(
        command, "NAME", &cluster_.cluster,
        absl::StrCat("a preset: ", absl::StrJoin(model::ClusterPresetNames(), ", "), "; or a file")
            .c_str());
  }

  void AddRun() {
    CLI::App* command =
        AddCommand("run", "run a plan, all ranks in this process or one in each of an mpirun",
                   "batch.plan --backward --check");
    AddInput(command, "PLAN", &run_.plan, "a plan file");
    AddText(
        command, "--inputs", &run_.inputs, "DIR",
        "folder of q.npy, k.npy and v.npy in global token order; without it tensors are random");
    AddText(command, "--outputs", &run_.outputs, "DIR",
            "folder to write o.npy and lse.npy to, with --backward also dq.npy, dk.npy and dv.npy");
    AddText(command, "--trace", &run_.trace, "FILE",
            "file to write the timeline of the last iteration to, for ui.perfetto.dev");
    command->add_flag("--backward", run_.backward,
                      "compute gradients too, from do.npy or a random dO");
    command->add_flag("--check", run_.check, "compare the results with a float64 reference");
    command->add_flag("--check-finite", run_.check_finite,
                      "refuse inputs with a NaN or an infinity, and name the first");
    AddText(command, "--iterations", &run_.iterations, "K",
            absl::StrCat("number of passes, each timed, ", RangeText(RunFlags::kIterations)));
    AddText(command, "--seed", &run_.seed, "N",
            absl::StrCat("seed of the random tensors, ", RangeText(RunFlags::kSeed)));
    AddText(command, "--transport", &run_.transport, "threads|mpi",
            "whether ranks are threads (the default) or processes of mpirun");
    AddText(command, "--timeout", &run_.timeout, "SECONDS",
            absl::StrCat("limit of every wait for another rank, ", RangeText(RunFlags::kTimeout)));
    AddText(command, "--device", &run_.device, "cpu", "device that ranks compute on");
    AddText(
        command, "--kernels", &run_.kernels, "NAME",
        absl::StrCat("attention kernels; generated: those that this CPU runs fastest; reference: "
                     "the reference kernels; on this CPU run ",
                     absl::StrJoin(CpuKernelNames(), ", ")));
    AddText(command, "--threads", &run_.threads, "N",
            absl::StrCat("threads of each rank that compute attention, ", RangeText(kThreads)));
  }

  void AddCalibrate() {
    CLI::App* command =
        AddCommand("calibrate", "measure this host and write a cluster for compile --cluster",
                   "--heads 8:2 -o cpu.json");
    AddText(command, "--device", &calibrate_.device, "cpu", "device to measure");
    AddText(command, "--ranks", &calibrate_.ranks, "N",
            absl::StrCat("ranks at work at the same time, ", RangeText(CalibrateFlags::kRanks),
                         "; without it one for each core, over --threads"));
    AddText(command, "--threads", &calibrate_.threads, "N",
            absl::StrCat("threads of each rank, ", RangeText(kThreads)));
    for (const BatchOption& option : BatchOptions()) {
      const absl::string_view name = option.name;
      if (name != "heads" && name != "head-dim" && name != "dtype") continue;
      std::string& text = calibrate_.plans[option.name];
      text = option.preset;
      AddText(command, absl::StrCat("--", name), &text, option.value,
              absl::StrCat("plans that will run: ", option.help));
    }
    AddText(command, "--tokens", &calibrate_.tokens, "T",
            absl::StrCat("tokens of each rank, and of the longest document that is measured, ",
                         RangeText(CalibrateFlags::kTokens)));
    AddText(command, "-o,--output", &calibrate_.output, "FILE",
            "file to write; - is standard output");
  }

  void AddHelp() {
    CLI::App* command = app_.add_subcommand("help", "print the help of a command");
    command->add_option("COMMAND", topic_, "a command; without it, all of them")->type_name("");
    command->footer("Example: flashcp help compile");
  }

  // Asks the formatter, since App::help() of the program is that of the command that was parsed.
  Arguments Help(const CLI::App& command) const {
    const std::string name =
        &command == &app_ ? "flashcp" : absl::StrCat("flashcp ", command.get_name());
    return Arguments{
        ShowText{app_.get_formatter()->make_help(&command, name, CLI::AppFormatMode::Normal)}};
  }

  // Returns the command of this command line, or the program itself.
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

  // Returns the error of an argument that the parser had no place for.
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

  // Refuses a flag that is given twice.
  absl::Status GivenTwice(const CLI::App& command) const {
    for (const CLI::Option* option : command.get_options()) {
      if (option->get_items_expected() > 0 && option->count() > 1) {
        return Usage(command, absl::StrCat(option->get_name(), " is given ", option->count(),
                                           " times: expected once"));
      }
    }
    return absl::OkStatus();
  }

  // Refuses planning without documents.
  absl::Status WithoutLengths(const CLI::App& command) const {
    for (const auto& [name, flags] :
         {std::pair("compile", &compile_.planning), std::pair("compare", &compare_.planning)}) {
      if (command.get_name() != name || !flags->lengths.empty()) continue;
      if (flags->options.at("layout-of").empty()) return Usage(command, "LENGTHS is required");
      if (!flags->batch.empty()) return Usage(command, "--batch picks one of LENGTHS, found none");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Arguments> HelpOnTopic() const {
    if (topic_.empty()) return Help(app_);
    for (const CLI::App* command : app_.get_subcommands(nullptr)) {
      if (command->get_name() == topic_) return Help(*command);
    }
    return Usage(app_, UnknownNameMessage("command", topic_, CommandNames()));
  }

  // Returns the flags that the parser has filled in, once no argument is left over or missing.
  absl::StatusOr<Arguments> Result() const {
    const CLI::App& command = Chosen();
    for (const CLI::App* app : {&app_, &command}) {
      std::vector<std::string> extras = app->remaining();
      if (!extras.empty()) return Unexpected(*app, extras[0]);
    }
    if (&command == &app_) {
      return Usage(app_, absl::StrCat("expected a command: ", absl::StrJoin(CommandNames(), ", ")));
    }
    if (absl::Status status = GivenTwice(command); !status.ok()) return status;
    if (absl::Status status = WithoutLengths(command); !status.ok()) return status;
    const std::string& name = command.get_name();
    if (name == "help") return HelpOnTopic();
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
  std::string topic_;  // of help
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

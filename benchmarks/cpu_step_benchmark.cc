// How well the cost model, on a cluster that was calibrated, foretells steps on this host: modelled
// and measured times of the same plans, side by side.
//
// A shared host is half as fast again at times, and not for long. So the fastest of several rounds
// of all plans counts, as in the calibration.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "benchmarks/distributions.h"
#include "benchmarks/runtime_run.h"
#include "compiler/compile.h"
#include "compiler/input/cluster_file.h"
#include "compiler/solver/strategies.h"
#include "nlohmann/json.hpp"
#include "session/calibration.h"
#include "support/command_line.h"
#include "support/files.h"
#include "support/status_macros.h"
#include "tools/cli/fit_report.h"

namespace flashcp::benchmarks {
namespace {

struct Flags {
  std::vector<std::string> distributions = {"lognormal", "pile", "long"};
  std::vector<std::string> strategies = {"contiguous", "zigzag", "per-doc", "flashcp-paper",
                                         "auto"};
  std::string cluster;
  std::string json_path;
  int64_t tokens = 1 << 17;
  int shrink = 16;
  int sequences = 2;
  int ranks = std::max(1u, std::thread::hardware_concurrency());
  int query_heads = 8, key_value_heads = 2, dim = 128;
  int rounds = 20;
};

// A sequence with all lengths divided: as uneven as the real one, in less time.
std::vector<model::Document> Documents(const Distribution& lengths, const Flags& flags, int index) {
  std::vector<model::Document> documents;
  for (int64_t length : lengths.Sequence(flags.tokens, flags.ranks, index)) {
    const int64_t shrunk = (length + flags.shrink / 2) / flags.shrink;
    if (shrunk > 0) documents.push_back({shrunk, {}});
  }
  return documents;
}

// Microseconds; the step is both passes.
struct PassTimes {
  double forward = 0, backward = 0;
  double step() const { return forward + backward; }
};

struct Case {
  std::string distribution, strategy;
  int sequence;
  Plan plan;
  PassTimes modelled;
  PassTimes measured;  // of the fastest round

  double ratio() const { return modelled.step() / measured.step(); }
};

PassTimes Modelled(const Plan& plan) {
  return {plan->modelled()->forward_us(), plan->modelled()->backward_us()};
}

// One step, after one that is not measured.
absl::StatusOr<PassTimes> Measured(const Plan& plan) {
  ASSIGN_OR_RETURN(std::vector<RankMeasure> ranks, MeasureRun(plan, RunConfig()));
  return PassTimes{ranks[0].forward.wall_us, ranks[0].backward.wall_us};
}

absl::StatusOr<model::Cluster> CalibratedCluster(const solver::Problem& problem) {
  session::CalibrationRequest request;
  request.ranks = problem.ranks;
  request.heads = problem.heads;
  request.dtype = problem.dtype;
  ASSIGN_OR_RETURN(session::Calibration calibration, session::Calibrate(request));
  for (const std::string& line : cli::CalibrationLines(calibration)) {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  return calibration.cluster;
}

void Print(const Case& c) {
  std::printf("%-28s %2d %-14s forward %8.2f %8.2f  backward %8.2f %8.2f  step %5.2f\n",
              c.distribution.c_str(), c.sequence, c.strategy.c_str(), c.modelled.forward / 1e3,
              c.measured.forward / 1e3, c.modelled.backward / 1e3, c.measured.backward / 1e3,
              c.ratio());
}

// How far ratios are from 1: the mean, the largest, and how many are within 15%.
void PrintSummary(const std::vector<Case>& cases) {
  double sum = 0, worst = 0;
  int within = 0;
  for (const Case& c : cases) {
    const double off = std::abs(c.ratio() - 1);
    sum += off, worst = std::max(worst, off), within += off <= 0.15;
  }
  std::printf("step: off by %.1f%% on the mean, %.1f%% at most, %d of %zu within 15%%\n",
              100 * sum / cases.size(), 100 * worst, within, cases.size());
}

std::string Json(const std::vector<Case>& cases) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Case& c : cases) {
    json.push_back({{"distribution", c.distribution},
                    {"sequence", c.sequence},
                    {"strategy", c.strategy},
                    {"modelled_forward_us", c.modelled.forward},
                    {"modelled_backward_us", c.modelled.backward},
                    {"measured_forward_us", c.measured.forward},
                    {"measured_backward_us", c.measured.backward},
                    {"ratio", c.ratio()}});
  }
  return absl::StrCat(json.dump(1), "\n");
}

// The sequences of one distribution.
struct Workload {
  std::string distribution;
  std::vector<std::vector<model::Document>> sequences;
};

// Whatever is wrong with the flags is known here, before minutes of work.
absl::StatusOr<std::vector<Workload>> MakeWorkloads(const Flags& flags, solver::Problem problem) {
  RETURN_IF_ERROR(problem.Check());
  std::vector<Workload> workloads;
  for (const std::string& name : flags.distributions) {
    ASSIGN_OR_RETURN(Distribution lengths, MakeDistribution(name));
    Workload workload = {lengths.name, {}};
    for (int sequence = 0; sequence < flags.sequences; ++sequence) {
      problem.documents = Documents(lengths, flags, sequence);
      RETURN_IF_ERROR(problem.Check());
      if (problem.documents.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--shrink: ", flags.shrink, " leaves no token of ", lengths.name));
      }
      workload.sequences.push_back(std::move(problem.documents));
    }
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

// Plans of all sequences by all strategies, for the request's cluster.
absl::StatusOr<std::vector<Case>> MakeCases(const Flags& flags, const Workload& workload,
                                            CompileRequest* request) {
  std::vector<Case> cases;
  for (int sequence = 0; sequence < flags.sequences; ++sequence) {
    request->problem.documents = workload.sequences[sequence];
    for (const std::string& strategy : flags.strategies) {
      request->strategy = strategy;
      ASSIGN_OR_RETURN(Plan plan, Compiler().Compile(*request));
      const PassTimes modelled = Modelled(plan);
      cases.push_back({workload.distribution, strategy, sequence, std::move(plan), modelled, {}});
    }
  }
  return cases;
}

absl::Status Run(const Flags& flags) {
  RETURN_IF_ERROR(EnterCallersFolder());
  CompileRequest request;
  solver::Problem& problem = request.problem;
  problem.ranks = flags.ranks;
  problem.heads = {flags.query_heads, flags.key_value_heads, flags.dim};
  ASSIGN_OR_RETURN(problem.cluster, FindCluster(flags.cluster.empty() ? "cpu" : flags.cluster));
  ASSIGN_OR_RETURN(std::vector<Workload> workloads, MakeWorkloads(flags, problem));
  std::optional<OutputFile> json;
  if (!flags.json_path.empty()) {
    ASSIGN_OR_RETURN(OutputFile created, OutputFile::Create(flags.json_path));
    json.emplace(std::move(created));
  }
  std::printf(
      "milliseconds, modelled and measured on this host (the fastest of %d); ratio of steps\n",
      flags.rounds);
  std::vector<Case> all;
  for (const Workload& workload : workloads) {
    // Anew for each: a shared host is faster at times.
    if (flags.cluster.empty()) {
      ASSIGN_OR_RETURN(problem.cluster, CalibratedCluster(problem));
    }
    ASSIGN_OR_RETURN(std::vector<Case> cases, MakeCases(flags, workload, &request));
    // All cases in each round: what disturbs some seconds disturbs one round of each.
    for (int round = 0; round < flags.rounds; ++round) {
      for (Case& c : cases) {
        ASSIGN_OR_RETURN(const PassTimes measured, Measured(c.plan));
        if (round == 0 || measured.step() < c.measured.step()) c.measured = measured;
      }
    }
    for (Case& c : cases) {
      Print(c);
      all.push_back(std::move(c));
    }
  }
  PrintSummary(all);
  if (!json) return absl::OkStatus();
  RETURN_IF_ERROR(json->Write(Json(all)));
  return json->Commit();
}

}  // namespace

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Modelled and measured steps of plans on this host's CPU.");
  auto add_number = [&](const char* name, auto* value, auto most, const char* description) {
    app.add_option(name, *value, description)
        ->check(CLI::Range(decltype(most){1}, most))
        ->capture_default_str();
  };
  app.add_option("--distribution", flags.distributions, "as planner_benchmark's");
  app.add_option("--strategy", flags.strategies, "of the plans")
      ->check(CLI::IsMember(solver::StrategyNames()))
      ->capture_default_str();
  app.add_option("--cluster", flags.cluster, "a file of flashcp calibrate (none: calibrates)")
      ->check(RefuseEmpty);
  add_number("--tokens", &flags.tokens, model::kMaxTokens, "of a sequence");
  add_number("--shrink", &flags.shrink, 1000000, "all lengths are divided by this");
  add_number("--sequences", &flags.sequences, 1000000, "of each distribution");
  add_number("--ranks", &flags.ranks, 1024, "no more than cores, or they wait for each other");
  add_number("--query-heads", &flags.query_heads, model::kMaxHeads, "");
  add_number("--key-value-heads", &flags.key_value_heads, model::kMaxHeads, "");
  app.add_option("--head-dim", flags.dim)->capture_default_str();
  add_number("--rounds", &flags.rounds, 1000000, "of which the fastest counts");
  app.add_option("--json", flags.json_path, "also write all results to this file")
      ->check(RefuseEmpty);
  if (std::optional<int> code = ParseCommandLine(argc, argv, &app)) return *code;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return Finish("cpu_step_benchmark", Run(flags));
}

}  // namespace flashcp::benchmarks

int main(int argc, char** argv) { return flashcp::benchmarks::Main(argc, argv); }

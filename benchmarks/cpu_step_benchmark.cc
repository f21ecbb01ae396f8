// How well the cost model, on a cluster that was calibrated, foretells steps on this host: modelled
// and measured times of the same plans, side by side.
//
// A shared host is half as fast again at times, and not for long. So the fastest of several rounds
// counts, as in the calibration. Where a host is never quiet for a step, the second ratio says
// more: each measured step has a step of a plan beside it that the calibration knows, equal
// documents and no transfers, and the ratio is how much further off than that one the model is, in
// the median.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "benchmarks/distributions.h"
#include "benchmarks/runtime_run.h"
#include "compiler/compile.h"
#include "compiler/input/cluster_file.h"
#include "nlohmann/json.hpp"
#include "support/files.h"
#include "support/status_macros.h"
#include "tools/cli/calibration.h"

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
  int rounds = 10;
};

constexpr int64_t kProbeLength = 512;  // of the known plan's documents
constexpr int kProbeDocuments = 4;     // of each rank

// A sequence with all lengths divided: as uneven as the real one, in less time.
std::vector<solver::Document> Documents(const Distribution& lengths, const Flags& flags,
                                        int index) {
  std::vector<solver::Document> documents;
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

struct Result {
  std::string distribution, strategy;
  int sequence;
  PassTimes modelled;
  PassTimes measured;  // of the fastest round
  double ratio = 0;    // modelled / measured step
  double beside = 0;   // the same, over that of the known plan, the median of all rounds
};

PassTimes Modelled(const Plan& plan) {
  return {plan->modelled()->forward_us(), plan->modelled()->backward_us()};
}

// One step, after one that is not measured.
absl::StatusOr<PassTimes> Measured(const Plan& plan) {
  ASSIGN_OR_RETURN(std::vector<RankMeasure> ranks, MeasureRun(plan, RunConfig()));
  return PassTimes{ranks[0].forward.wall_us, ranks[0].backward.wall_us};
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

absl::StatusOr<Result> RunCase(const Plan& plan, const Plan& probe, int rounds) {
  Result result;
  result.modelled = Modelled(plan);
  std::vector<double> beside;
  for (int round = 0; round < rounds; ++round) {
    ASSIGN_OR_RETURN(const PassTimes before, Measured(probe));
    ASSIGN_OR_RETURN(const PassTimes measured, Measured(plan));
    ASSIGN_OR_RETURN(const PassTimes after, Measured(probe));
    const double known = 2 * Modelled(probe).step() / (before.step() + after.step());
    beside.push_back(result.modelled.step() / measured.step() / known);
    if (round == 0 || measured.step() < result.measured.step()) result.measured = measured;
  }
  result.ratio = result.modelled.step() / result.measured.step();
  result.beside = Median(beside);
  return result;
}

absl::StatusOr<solver::Cluster> ClusterFor(const Flags& flags, const solver::Problem& problem) {
  if (!flags.cluster.empty()) return FindCluster(flags.cluster);
  cli::CalibrationRequest request;
  request.ranks = flags.ranks;
  request.heads = problem.heads;
  request.dtype = problem.dtype;
  ASSIGN_OR_RETURN(cli::Calibration calibration,
                   cli::Calibrate(request, cli::Console(/*quiet=*/false)));
  return calibration.cluster;
}

void Print(const Result& r) {
  std::printf(
      "%-28s %2d %-14s forward %8.2f %8.2f  backward %8.2f %8.2f  step %5.2f, beside %5.2f\n",
      r.distribution.c_str(), r.sequence, r.strategy.c_str(), r.modelled.forward / 1e3,
      r.measured.forward / 1e3, r.modelled.backward / 1e3, r.measured.backward / 1e3, r.ratio,
      r.beside);
}

// How far a ratio is from 1, of all results: the mean, the largest, and how many are within 15%.
void PrintSummary(const char* what, const std::vector<Result>& results, double Result::*ratio) {
  double sum = 0, worst = 0;
  int within = 0;
  for (const Result& result : results) {
    const double off = std::abs(result.*ratio - 1);
    sum += off, worst = std::max(worst, off), within += off <= 0.15;
  }
  std::printf("%s: off by %.1f%% on the mean, %.1f%% at most, %d of %zu within 15%%\n", what,
              100 * sum / results.size(), 100 * worst, within, results.size());
}

absl::Status WriteJson(const std::string& path, const std::vector<Result>& results) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Result& r : results) {
    json.push_back({{"distribution", r.distribution},
                    {"sequence", r.sequence},
                    {"strategy", r.strategy},
                    {"modelled_forward_us", r.modelled.forward},
                    {"modelled_backward_us", r.modelled.backward},
                    {"measured_forward_us", r.measured.forward},
                    {"measured_backward_us", r.measured.backward},
                    {"ratio", r.ratio},
                    {"ratio_beside_known_plan", r.beside}});
  }
  return WriteFile(path, absl::StrCat(json.dump(1), "\n"));
}

absl::Status Run(const Flags& flags) {
  CompileRequest request;
  solver::Problem& problem = request.problem;
  problem.ranks = flags.ranks;
  problem.heads = {flags.query_heads, flags.key_value_heads, flags.dim};
  std::printf(
      "milliseconds, modelled and measured on this host (the fastest of %d); ratio of steps, and "
      "that beside a known plan (median)\n",
      flags.rounds);
  std::vector<Result> results;
  for (const std::string& name : flags.distributions) {
    ASSIGN_OR_RETURN(Distribution lengths, MakeDistribution(name));
    // Anew for each: a shared host is faster at times.
    ASSIGN_OR_RETURN(problem.cluster, ClusterFor(flags, problem));
    request.strategy = "whole-doc";
    problem.documents.assign(flags.ranks * kProbeDocuments, {kProbeLength, {}});
    ASSIGN_OR_RETURN(const Plan probe, Compiler().Compile(request));
    for (int sequence = 0; sequence < flags.sequences; ++sequence) {
      problem.documents = Documents(lengths, flags, sequence);
      for (const std::string& strategy : flags.strategies) {
        request.strategy = strategy;
        ASSIGN_OR_RETURN(const Plan plan, Compiler().Compile(request));
        ASSIGN_OR_RETURN(Result result, RunCase(plan, probe, flags.rounds));
        result.distribution = lengths.name;
        result.strategy = strategy;
        result.sequence = sequence;
        Print(result);
        results.push_back(std::move(result));
      }
    }
  }
  PrintSummary("step", results, &Result::ratio);
  PrintSummary("step beside a known plan", results, &Result::beside);
  return flags.json_path.empty() ? absl::OkStatus() : WriteJson(flags.json_path, results);
}

}  // namespace

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Modelled and measured steps of plans on this host's CPU.");
  app.add_option("--distribution", flags.distributions, "as planner_benchmark's");
  app.add_option("--strategy", flags.strategies, "of the plans")->capture_default_str();
  app.add_option("--cluster", flags.cluster, "a file of flashcp calibrate (none: calibrates)");
  app.add_option("--tokens", flags.tokens, "of a sequence")->capture_default_str();
  app.add_option("--shrink", flags.shrink, "all lengths are divided by this")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--sequences", flags.sequences, "of each distribution")->capture_default_str();
  app.add_option("--ranks", flags.ranks, "no more than cores, or they wait for each other")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--query-heads", flags.query_heads)->capture_default_str();
  app.add_option("--key-value-heads", flags.key_value_heads)->capture_default_str();
  app.add_option("--head-dim", flags.dim)->capture_default_str();
  app.add_option("--rounds", flags.rounds, "of which the fastest counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--json", flags.json_path, "also write all results to this file");
  CLI11_PARSE(app, argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const absl::Status status = Run(flags);
  if (!status.ok()) std::fprintf(stderr, "cpu_step_benchmark: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace flashcp::benchmarks

int main(int argc, char** argv) { return flashcp::benchmarks::Main(argc, argv); }

// Compares placement strategies on drawn sequences: balance, bytes, modelled steps, distance to the
// lower bound, planning time. See docs/planner.md for what the figures mean.

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmarks/distributions.h"
#include "benchmarks/planner_case.h"
#include "benchmarks/planner_report.h"
#include "compiler/solver/strategies.h"
#include "model/cluster.h"
#include "nlohmann/json.hpp"
#include "support/command_line.h"
#include "support/files.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

struct Flags {
  std::string cluster = "h100x8";
  int ranks = 8;
  int64_t tokens = 131072;
  double slack_percent = 0;
  double time_budget_ms = solver::kDefaultBudgetMs;
  int sequences = 50;
  uint64_t seed = 0;
  bool study_tiles = false;
  bool no_latency = false;
  std::vector<std::string> distributions = {"lognormal", "pile", "long"};
  std::vector<std::string> candidates;
  std::string json_path;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.option_defaults()->always_capture_default();
  app.add_option("--cluster", flags.cluster, "preset that times are modelled on");
  app.add_option("--ranks", flags.ranks, "ranks of the context-parallel group");
  app.add_option("--tokens", flags.tokens, "tokens of a sequence");
  app.add_option("--slack", flags.slack_percent,
                 "percent of tokens a rank may own above its share");
  app.add_option(
      "--distribution", flags.distributions,
      "document lengths: one or more of lognormal, pile, long, one, equal-512, "
      "n-plus-1, short, cells-32, documents:COUNT, lengths:FILE, histogram:FILE, sources:FILE");
  app.add_option("--sequences", flags.sequences, "sequences of each distribution")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--seed", flags.seed, "number of the first sequence");
  app.add_option("--time-budget", flags.time_budget_ms,
                 "how long auto searches, milliseconds of one core, counted in steps")
      ->check(CLI::Range(0.0, 3.6e6));
  app.add_flag("--study-tiles", flags.study_tiles,
               "kernel times that the study behind docs/planner.md assumed, not the preset's");
  app.add_flag("--no-latency", flags.no_latency, "messages take no time to start");
  app.add_option("--candidates", flags.candidates, "rows of the tables (all by default)");
  app.add_option("--json", flags.json_path, "also write all results to this file (- for stdout)")
      ->check(RefuseEmpty);
}

absl::StatusOr<std::vector<Candidate>> SelectCandidates(const Flags& flags) {
  std::vector<Candidate> all = AllCandidates(flags.time_budget_ms);
  if (flags.candidates.empty()) return all;
  std::vector<std::string> known;
  for (const Candidate& candidate : all) known.push_back(candidate.name);
  std::vector<Candidate> selected;
  for (const std::string& name : flags.candidates) {
    auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      return absl::InvalidArgumentError(UnknownNameMessage("candidate", name, known));
    }
    selected.push_back(all[found - known.begin()]);
  }
  return selected;
}

absl::StatusOr<std::vector<Case>> MakeCases(const Flags& flags) {
  Case prototype;
  prototype.tokens = flags.tokens;
  prototype.sequences = flags.sequences;
  prototype.first_sequence = flags.seed;
  prototype.problem.ranks = flags.ranks;
  prototype.problem.slack_percent = flags.slack_percent;
  ASSIGN_OR_RETURN(prototype.problem.cluster, model::ClusterPreset(flags.cluster));
  if (flags.study_tiles) {
    prototype.problem.cluster.tiles = StudyTiles();
    prototype.problem.cluster.name += " with the study's tiles";
  }
  if (flags.no_latency) {
    prototype.problem.cluster.intra_node.latency_us = 0;
    prototype.problem.cluster.inter_node.latency_us = 0;
  }
  // Bounds what generators allocate; Check() bounds the ranks and the rest.
  if (flags.tokens < 1 || flags.tokens > model::kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tokens is ", flags.tokens, ": must be from 1 to ", model::kMaxTokens));
  }
  RETURN_IF_ERROR(prototype.problem.Check());
  std::vector<Case> cases;
  for (const std::string& name : flags.distributions) {
    cases.push_back(prototype);
    ASSIGN_OR_RETURN(cases.back().distribution, MakeDistribution(name));
  }
  return cases;
}

// Of this process so far.
int64_t PeakMemoryBytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

absl::Status Run(const Flags& flags) {
  RETURN_IF_ERROR(EnterCallersFolder());
  ASSIGN_OR_RETURN(std::vector<Case> cases, MakeCases(flags));
  ASSIGN_OR_RETURN(std::vector<Candidate> candidates, SelectCandidates(flags));
  std::optional<OutputFile> json_file;
  if (!flags.json_path.empty()) {
    ASSIGN_OR_RETURN(OutputFile created, OutputFile::Create(flags.json_path));
    json_file.emplace(std::move(created));
  }
  nlohmann::ordered_json json;
  for (const Case& benchmark_case : cases) {
    ASSIGN_OR_RETURN(std::vector<SequenceResult> results, RunCase(benchmark_case, candidates));
    std::vector<Summary> summaries = Summarize(candidates, results);
    json["cases"].push_back(CaseJson(benchmark_case, results, summaries));
    if (flags.json_path != "-") {
      std::cout << CaseTable(benchmark_case, results, summaries) << std::endl;
    }
  }
  json["measured_peak_memory_bytes"] = PeakMemoryBytes();
  if (flags.json_path != "-") {
    std::cout << absl::StrFormat("peak memory %.1f MB (measured, whole process)\n",
                                 PeakMemoryBytes() / 1e6);
  }
  if (!json_file) return absl::OkStatus();
  RETURN_IF_ERROR(json_file->Write(absl::StrCat(json.dump(1), "\n")));
  return json_file->Commit();
}

}  // namespace
}  // namespace flashcp::benchmarks

int main(int argc, char** argv) {
  flashcp::benchmarks::Flags flags;
  CLI::App app(
      "Placement strategies compared on drawn sequences. Times are modelled, but for "
      "planning time, which is measured processor time.");
  flashcp::benchmarks::AddFlags(app, flags);
  if (std::optional<int> code = flashcp::ParseCommandLine(argc, argv, &app)) return *code;
  return flashcp::Finish("planner_benchmark", flashcp::benchmarks::Run(flags));
}

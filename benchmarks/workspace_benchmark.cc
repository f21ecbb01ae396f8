// Prints what a limit of the workspace costs: the schedules that the planner chooses from no limit
// to the least one, and their modelled steps against the step without a limit.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "compiler/input/lengths.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/schedule.h"
#include "compiler/solver/strategies.h"
#include "model/cluster.h"
#include "support/command_line.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

constexpr int kLimitMib[] = {0,   8000, 4000, 2000, 1400, 1000, 667, 476, 333,
                             238, 190,  143,  119,  95,   71,   48,  24};

struct Flags {
  std::string batch = "examples/batch_128k.txt";
};

struct Case {
  std::string name;
  std::vector<model::Document> documents;
  int ranks;
  std::string cluster;
  std::string strategy;
};

Case OneDocument(const std::string& name, int64_t tokens, int ranks, const std::string& cluster) {
  return {name, {{tokens, {}}}, ranks, cluster, "zigzag"};
}

double Megabytes(int64_t bytes) { return bytes / 1e6; }

absl::Status PrintCase(const Case& one) {
  solver::Problem problem;
  problem.documents = one.documents;
  problem.ranks = one.ranks;
  ASSIGN_OR_RETURN(problem.cluster, model::ClusterPreset(one.cluster));
  ASSIGN_OR_RETURN(const solver::Placement placement, solver::Place(one.strategy, problem));
  std::cout << absl::StrFormat(
      "\n%s, %d ranks, %s, %s: the placement alone %.3f ms\n"
      "limit MiB  groups  stages  forward MB  backward MB  step ms  over no limit  chosen in ms\n",
      one.name, one.ranks, one.cluster, one.strategy,
      solver::Evaluate(problem, placement).StepUs() / 1e3);
  double free_us = 0;
  for (int mib : kLimitMib) {
    const auto start = std::chrono::steady_clock::now();
    const absl::StatusOr<solver::Schedule> chosen =
        solver::ChooseSchedule(solver::StageLoads(problem, placement), int64_t{mib} << 20);
    const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
    if (!chosen.ok()) {
      std::cout << absl::StrFormat("%9d  %s\n", mib, chosen.status().message());
      break;
    }
    if (mib == 0) free_us = chosen->StepUs();
    std::cout << absl::StrFormat(
        "%9s  %6d  %6d  %10.1f  %11.1f  %7.3f  %+12.2f%%  %12.1f\n",
        mib == 0 ? "none" : absl::StrFormat("%d", mib), chosen->head_groups, chosen->row_stages,
        Megabytes(chosen->workspace_bytes), Megabytes(chosen->backward_workspace_bytes),
        chosen->StepUs() / 1e3, 100 * (chosen->StepUs() / free_us - 1), ms.count());
  }
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  RETURN_IF_ERROR(EnterCallersFolder());
  ASSIGN_OR_RETURN(std::vector<Batch> batches, ReadLengths(flags.batch, model::Mask::Causal()));
  for (const Case& one : {
           OneDocument("one document of 1M", 1 << 20, 64, "h100x64"),
           OneDocument("one document of 4M", 4 << 20, 512, "h100x64"),
           OneDocument("one document of 128K", 128 << 10, 8, "h100x8"),
           Case{flags.batch, batches.front(), 8, "h100x8", "auto"},
           Case{flags.batch, batches.front(), 8, "h100-ib8", "auto"},
       }) {
    RETURN_IF_ERROR(PrintCase(one));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace flashcp::benchmarks

int main(int argc, char** argv) {
  flashcp::benchmarks::Flags flags;
  CLI::App app("What a workspace limit costs. Times are modelled, but for the last column.");
  app.add_option("--batch", flags.batch, "lengths of the packed batch")->capture_default_str();
  if (std::optional<int> code = flashcp::ParseCommandLine(argc, argv, &app)) return *code;
  return flashcp::Finish("workspace_benchmark", flashcp::benchmarks::Run(flags));
}

// Decides which placement rules are compared, and what is read off a placement.

#include "benchmarks/planner_case.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "benchmarks/peer_strategies.h"
#include "compiler/solver/bounds.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/strategies.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

using model::Exchange;
using solver::Placement;
using solver::PlacementCost;
using solver::Problem;
using solver::RankCost;

Candidate Ours(const std::string& strategy, Exchange exchange, const std::string& name,
               double budget_ms = 0) {
  return {name, exchange,
          [=](const Problem& problem) { return solver::Place(strategy, problem, budget_ms); }};
}

Candidate Magi(int64_t chunk_tokens) {
  return {absl::StrCat("magi-", chunk_tokens), Exchange::kNeeded,
          [=](const Problem& problem) { return PlaceMagiMinHeap(problem, chunk_tokens); }};
}

Candidate Ptrr(Exchange exchange, const std::string& name) {
  return {name, exchange, [](const Problem& problem) { return PlacePtrr(problem, 128); }};
}

// Without overlap a rank's pass takes its compute and its transfers.
double SerialStepUs(const PlacementCost& cost) {
  double forward_us = 0;
  double backward_us = 0;
  for (const RankCost& rank : cost.ranks) {
    forward_us = std::max(forward_us, rank.compute_forward_us + rank.transfer_forward_us);
    backward_us = std::max(backward_us, rank.compute_backward_us + rank.transfer_backward_us);
  }
  return forward_us + backward_us;
}

Figures FiguresOf(const PlacementCost& cost) {
  Figures figures;
  figures.work_imbalance = cost.WorkImbalance();
  figures.token_imbalance = cost.TokenImbalance();
  for (const RankCost& rank : cost.ranks) {
    double forward = static_cast<double>(rank.receive_bytes_forward);
    double backward = static_cast<double>(rank.receive_bytes_backward);
    figures.kv_forward_max_bytes = std::max(figures.kv_forward_max_bytes, forward);
    figures.kv_forward_total_bytes += forward;
    figures.kv_backward_max_bytes = std::max(figures.kv_backward_max_bytes, backward);
    figures.kv_backward_total_bytes += backward;
    figures.messages += rank.peers / 2.0;  // both ends count it
    figures.segments_max = std::max(figures.segments_max, static_cast<double>(rank.segments));
  }
  figures.modelled_step_ms = cost.StepUs() / 1e3;
  figures.modelled_serial_step_ms = SerialStepUs(cost) / 1e3;
  return figures;
}

// Processor time of this process so far, in all its threads: unlike the time on the wall, the same
// on a busy machine.
double ProcessorMs() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

absl::StatusOr<Figures> RunCandidate(const Candidate& candidate, Problem problem) {
  problem.exchange = candidate.exchange;
  double start_ms = ProcessorMs();
  ASSIGN_OR_RETURN(Placement placement, candidate.place(problem));
  double planning_ms = ProcessorMs() - start_ms;
  Figures figures = FiguresOf(solver::Evaluate(problem, placement));
  figures.measured_planning_ms = planning_ms;
  return figures;
}

}  // namespace

model::TileTable StudyTiles() {
  model::TileTable tiles;
  for (int blocks : {1, 1024}) {
    const double forward_us = (blocks + 2) * 0.447 / 32;  // 0.447 us for 32 heads
    tiles.columns.push_back(blocks * tiles.block_columns);
    tiles.forward_us.push_back(forward_us);
    tiles.backward_us.push_back(2.5 * forward_us);
  }
  return tiles;
}

std::vector<Candidate> AllCandidates(double budget_ms) {
  std::vector<Candidate> candidates;
  for (const std::string& strategy : solver::StrategyNames()) {
    candidates.push_back(Ours(strategy, Exchange::kNeeded, strategy, budget_ms));
  }
  candidates.push_back(Magi(512));
  candidates.push_back(Magi(2048));
  candidates.push_back(Ptrr(Exchange::kNeeded, "ptrr"));
  candidates.push_back(Ours("zigzag", Exchange::kAllGather, "zigzag-gather"));
  candidates.push_back(Ours("per-doc", Exchange::kAllGather, "per-doc-gather"));
  candidates.push_back(Ptrr(Exchange::kAllGather, "ptrr-gather"));
  return candidates;
}

absl::StatusOr<std::vector<SequenceResult>> RunCase(const Case& benchmark_case,
                                                    const std::vector<Candidate>& candidates) {
  std::vector<SequenceResult> results(benchmark_case.sequences);
  for (int i = 0; i < benchmark_case.sequences; ++i) {
    Problem problem = benchmark_case.problem;
    results[i].lengths = benchmark_case.distribution.Sequence(benchmark_case.tokens, problem.ranks,
                                                              benchmark_case.first_sequence + i);
    for (int64_t length : results[i].lengths) problem.documents.push_back({length, {}});
    RETURN_IF_ERROR(problem.Check());
    results[i].modelled_lower_bound_ms = solver::LowerBoundUs(problem) / 1e3;
    for (const Candidate& candidate : candidates) {
      ASSIGN_OR_RETURN(Figures figures, RunCandidate(candidate, problem));
      results[i].figures.push_back(figures);
    }
  }
  return results;
}

}  // namespace flashcp::benchmarks

// One case of the planner benchmark: every way to place documents, on the same drawn sequences.

#ifndef FLASHCP_BENCHMARKS_PLANNER_CASE_H_
#define FLASHCP_BENCHMARKS_PLANNER_CASE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "benchmarks/distributions.h"
#include "compiler/solver/problem.h"

namespace flashcp::benchmarks {

// A row of the tables: a placement rule and how K/V travel.
struct Candidate {
  std::string name;
  model::Exchange exchange = model::Exchange::kNeeded;
  std::function<absl::StatusOr<solver::Placement>(const solver::Problem&)> place;
};

// The kernel that the study behind docs/planner.md assumed of H100s, before its times were fitted
// to measurements: 600 TFLOP/s, two key blocks more for each block of rows, backward 2.5 times
// forward.
model::TileTable StudyTiles();

// Every strategy of the solver, then the peers: MagiAttention's with chunks of 512 and 2048 tokens
// and PyTorch's with blocks of 128, all of which send only needed rows; then what frameworks do:
// zigzag, per-doc and PyTorch's rule with an all-gather of K/V. `budget_ms` is for auto.
std::vector<Candidate> AllCandidates(double budget_ms);

// What is measured and modelled of one placement. Bytes are received payload; times are modelled on
// the problem's cluster, but for planning_ms, which was measured here.
struct Figures {
  double work_imbalance = 0;   // max / mean of pairs
  double token_imbalance = 0;  // max / mean of tokens
  double kv_forward_max_bytes = 0;
  double kv_forward_total_bytes = 0;
  double kv_backward_max_bytes = 0;
  double kv_backward_total_bytes = 0;
  double messages = 0;                 // of all ranks, in forward
  double segments_max = 0;             // of one rank
  double modelled_step_ms = 0;         // transfers hide behind compute
  double modelled_serial_step_ms = 0;  // no overlap: compute plus transfers
  double measured_planning_ms = 0;     // processor time
};

struct SequenceResult {
  std::vector<int64_t> lengths;
  double modelled_lower_bound_ms = 0;  // exchange needed
  std::vector<Figures> figures;        // of each candidate
};

struct Case {
  Distribution distribution;
  solver::Problem problem;  // without documents
  int64_t tokens = 0;
  int sequences = 0;
  uint64_t first_sequence = 0;
};

// Places and evaluates all sequences. Errors are those of the candidates.
absl::StatusOr<std::vector<SequenceResult>> RunCase(const Case& benchmark_case,
                                                    const std::vector<Candidate>& candidates);

}  // namespace flashcp::benchmarks

#endif  // FLASHCP_BENCHMARKS_PLANNER_CASE_H_

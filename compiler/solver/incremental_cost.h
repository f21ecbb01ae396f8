// The cost model of Evaluate(), made incremental: the work and traffic of each rank, kept up to
// date while single documents change.

#ifndef FLASHCP_COMPILER_SOLVER_INCREMENTAL_COST_H_
#define FLASHCP_COMPILER_SOLVER_INCREMENTAL_COST_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/objective.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/row_sweep.h"
#include "compiler/solver/traffic.h"

namespace flashcp::solver {

// Time of both passes of a rank, or of the slowest rank in each, microseconds.
struct PassTime {
  double forward_us = 0;
  double backward_us = 0;

  void Raise(const PassTime& other) {
    forward_us = std::max(forward_us, other.forward_us);
    backward_us = std::max(backward_us, other.backward_us);
  }
};

class IncrementalCost {
 public:
  // O(ranks^2) memory: 4 bytes for each pair.
  explicit IncrementalCost(const Problem& problem);

  // The document has segments `after` from now on, in increasing position, and no more `before`;
  // either may be empty. Counts of tokens and messages return exactly to what they were when the
  // change is taken back, rows and times but for rounding. O(segments) if the segments of two
  // ranks change and the mask is no window, else O(sum over segments of the ranks that need their
  // rows).
  void Replace(const Document& document, const std::vector<Segment>& before,
               const std::vector<Segment>& after);

  // Begins a trial: only these ranks change until Rollback() takes all changes back exactly.
  void Mark(const std::vector<int>& ranks);
  void Rollback();

  int64_t tokens(int rank) const { return ranks_[rank].tokens; }
  // The objective of the search, for one rank.
  double RankUs(int rank) const;
  // The modelled passes, as Evaluate() has them: of one rank, and of the slowest ones.
  PassTime Passes(int rank) const;
  PassTime Slowest() const;
  double StepUs() const {
    const PassTime slowest = Slowest();
    return slowest.forward_us + slowest.backward_us;
  }
  // K/V rows that the rank receives forward.
  double RowsReceived(int rank) const {
    const Traffic& traffic = ranks_[rank].traffic;
    return traffic.in_node.received + traffic.between_nodes.received;
  }
  // The objective of the search: the largest RankUs().
  double ObjectiveUs() const;

  int64_t steps() const { return steps_; }  // segments and needing ranks looked at so far

 private:
  struct Rank {
    ComputeTime compute;
    int64_t tokens = 0;
    Traffic traffic;
  };
  friend class RowSweep;  // for the next four
  Traffic& TrafficOf(int rank) { return ranks_[rank].traffic; }
  void Open(int rank);
  void Close(int rank);
  void Send(int owner, int64_t rows);

  void ChangeCompute(const Document& document, const Segment& segment, int sign);
  void ChangeTraffic(const Document& document, const std::vector<Segment>& segments, int sign);
  void CountMessage(int from, int to);

  const Problem& problem_;
  const SegmentTimer timer_;
  const Objective objective_;
  const TransferModel transfers_;
  std::vector<Rank> ranks_;
  std::vector<int> messages_;  // runs of rows from one rank to another
  // For Rollback(): ranks as they were, and the changes of messages_ since Mark().
  bool marked_ = false;
  std::vector<std::pair<int, Rank>> saved_;
  std::vector<std::pair<size_t, int>> message_log_;
  // While a document changes:
  RowSweep sweep_;
  int sign_ = 0;              // 1 while its rows are added, -1 while they are taken back
  std::vector<int> changed_;  // ranks whose segments change, up to one more than kPair
  bool pair_ = false;         // only messages of changed_ need counting
  std::vector<int> needing_;  // ranks that need rows now
  std::vector<int> place_;    // of each rank in needing_; kNotNeeding for all others
  int64_t steps_ = 0;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_INCREMENTAL_COST_H_

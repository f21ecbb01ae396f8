// The cost of a placement: balance, bytes, messages and modelled times, exactly as the plan made of
// it will move and compute. Every time that leaves this file is modelled, never measured, and is
// labelled so wherever it is printed.
//
// A rank's forward time is max(compute, communication), since transfers hide behind compute; its
// communication is max(in, out) / bandwidth, of the slower link class, plus the latency of every
// message that it receives. Backward sends K/V again and returns dK/dV: each direction carries
// in + out. The step is the slowest rank forward plus the slowest rank backward.

#ifndef FLASHCP_COMPILER_SOLVER_COST_MODEL_H_
#define FLASHCP_COMPILER_SOLVER_COST_MODEL_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Tokens, work and traffic of one rank.
struct RankCost {
  int64_t tokens = 0;
  int64_t pairs = 0;                        // (query, key) pairs that the mask allows, for one head
  int64_t segments = 0;                     // contiguous query ranges
  int64_t receive_bytes_forward = 0;        // payload: K and V
  int64_t send_bytes_forward = 0;           // payload, with rows passed on inside the node
  int64_t receive_bytes_between_nodes = 0;  // of receive_bytes_forward
  int64_t send_bytes_between_nodes = 0;     // of send_bytes_forward
  int64_t receive_bytes_backward = 0;       // payload: K and V again, and dK and dV coming home
  int64_t send_bytes_backward = 0;
  int64_t peers = 0;  // owners of rows it needs, plus ranks that need rows of its own
  double compute_forward_us = 0;
  double compute_backward_us = 0;
  double transfer_forward_us = 0;
  double transfer_backward_us = 0;

  double ForwardUs() const;
  double BackwardUs() const;
};

struct PlacementCost {
  std::vector<RankCost> ranks;
  double forward_us = 0;   // slowest rank
  double backward_us = 0;  // slowest rank

  double StepUs() const { return forward_us + backward_us; }
  double WorkImbalance() const;   // max / mean of pairs; 1 if there is no work
  double TokenImbalance() const;  // max / mean of tokens; 1 if there are none
};

// The problem passed Check(), the placement Verify(). O(segments * (1 + ranks / 64) + ranks^2) for
// exchange needed, O(segments + ranks) for all-gather; the length of segments does not matter.
PlacementCost Evaluate(const Problem& problem, const Placement& placement);

// The compute of the slowest rank forward and of the slowest backward: no more than StepUs().
// O(segments).
double ComputeStepUs(const Problem& problem, const Placement& placement);

// Modelled time of the queries of one segment, microseconds, forward and backward.
struct ComputeTime {
  double forward_us = 0;
  double backward_us = 0;
};
ComputeTime SegmentTime(const Problem& problem, const Document& document, int64_t begin,
                        int64_t end);

// SegmentTime() for many segments of one problem, which outlives it: if all queries of a segment
// see the document's first key, not all its last one, the table is linear and blocks are squares of
// a power of two, a closed form of a few nanoseconds.
class SegmentTimer {
 public:
  explicit SegmentTimer(const Problem& problem);

  ComputeTime Time(const Document& document, int64_t begin, int64_t end) const {
    const model::Band& band = document.mask.band();
    const int64_t key_begin = begin + band.upper;  // behind the keys before the first query's last
    const int64_t key_end = end + band.upper;
    if (shift_ < 0 || begin >= end || end + band.lower > 1 || key_begin < 0 ||
        key_end > document.length) {
      return SegmentTime(problem_, document, begin, end);
    }
    const int64_t rest = (int64_t{1} << shift_) - 1;
    int64_t row_blocks = (end - begin) >> shift_;
    // Full blocks see one block of keys more each; a last short one sees those up to `key_end`.
    int64_t key_blocks =
        row_blocks * ((key_begin + rest) >> shift_) + row_blocks * (row_blocks + 1) / 2;
    if (((end - begin) & rest) != 0) {
      row_blocks += 1;
      key_blocks += (key_end + rest) >> shift_;
    }
    return {row_blocks * row_.forward_us + key_blocks * key_.forward_us,
            row_blocks * row_.backward_us + key_blocks * key_.backward_us};
  }

 private:
  const Problem& problem_;
  int shift_ = -1;   // log2 of the block size, or -1 if there is no closed form
  ComputeTime row_;  // of a block of rows
  ComputeTime key_;  // of a block of rows against one more block of keys
};

// Returns a time that no partition of the document undercuts.
ComputeTime LeastTime(const Problem& problem, const Document& document);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_COST_MODEL_H_

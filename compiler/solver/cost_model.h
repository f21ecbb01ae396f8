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

#include <algorithm>
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

// Modelled time, microseconds, forward and backward.
struct ComputeTime {
  double forward_us = 0;
  double backward_us = 0;
};

// Returns the time of a block of queries before its first key, all heads: what one more tile on the
// block takes.
ComputeTime PrologueTime(const Problem& problem);
// Returns what it costs a block of queries that its keys are in two tiles: a prologue more and,
// forward, a merge.
ComputeTime MergeTime(const Problem& problem);

// Returns how many queries of [begin, end) see keys of the document before or behind it.
int64_t MergingRows(const Document& document, int64_t begin, int64_t end);

// Returns the time of the queries of one segment against all keys that they see, in one tile.
ComputeTime TileTime(const Problem& problem, const Document& document, int64_t begin, int64_t end);
// Returns it with a merge for each block of queries that sees keys of other segments: these come of
// other ranks, in a tile of their own.
ComputeTime SegmentTime(const Problem& problem, const Document& document, int64_t begin,
                        int64_t end);

// These times for many segments of one problem, which outlives it: if all queries of a segment see
// the document's first key, not all its last one, the table is linear and blocks are squares of a
// power of two, a closed form of a few nanoseconds.
class SegmentTimer {
 public:
  explicit SegmentTimer(const Problem& problem);

  // SegmentTime().
  ComputeTime Time(const Document& document, int64_t begin, int64_t end) const {
    if (!HasClosedForm(document, begin, end)) return SegmentTime(problem_, document, begin, end);
    ComputeTime time = ClosedForm(document, begin, end);
    int64_t merging = end - begin;  // all see the first key
    if (begin == 0) {
      const int64_t ahead = std::clamp<int64_t>(document.mask.band().upper, 0, end);
      merging = end < document.length ? ahead : 0;
    }
    const double blocks = (merging + (int64_t{1} << shift_) - 1) >> shift_;
    time.forward_us += blocks * merge_.forward_us;
    time.backward_us += blocks * merge_.backward_us;
    return time;
  }
  // TileTime().
  ComputeTime InOneTile(const Document& document, int64_t begin, int64_t end) const {
    if (!HasClosedForm(document, begin, end)) return TileTime(problem_, document, begin, end);
    return ClosedForm(document, begin, end);
  }

 private:
  bool HasClosedForm(const Document& document, int64_t begin, int64_t end) const {
    const model::Band& band = document.mask.band();
    return shift_ >= 0 && begin < end && end + band.lower <= 1 && begin + band.upper >= 0 &&
           end + band.upper <= document.length;
  }
  ComputeTime ClosedForm(const Document& document, int64_t begin, int64_t end) const {
    const int64_t upper = document.mask.band().upper;
    const int64_t key_begin = begin + upper;  // of the keys that queries before `begin` see, the end
    const int64_t key_end = end + upper;
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

  const Problem& problem_;
  int shift_ = -1;     // log2 of the block size, or -1 if there is no closed form
  ComputeTime merge_;  // MergeTime()
  ComputeTime row_;    // of a block of rows
  ComputeTime key_;    // of a block of rows against one more block of keys
};

// Returns a time that no partition of the document undercuts whose segments have at most
// `token_cap` tokens.
ComputeTime LeastTime(const Problem& problem, const Document& document, int64_t token_cap);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_COST_MODEL_H_

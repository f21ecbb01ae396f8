// What a placement costs: balance, bytes, messages and modelled times, exactly as the plan made of
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

// What one rank holds, computes and moves.
struct RankCost {
  int64_t tokens = 0;
  int64_t pairs = 0;                  // (query, key) pairs that the mask allows, for one head
  int64_t segments = 0;               // contiguous query ranges
  int64_t receive_bytes_forward = 0;  // payload: K and V
  int64_t send_bytes_forward = 0;
  int64_t receive_bytes_backward = 0;  // payload: K and V again, and dK and dV coming home
  int64_t send_bytes_backward = 0;
  int64_t peers = 0;  // ranks it receives from, plus ranks it sends to, in forward
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
  double WorkImbalance() const;   // max / mean of pairs; 1 where there is no work
  double TokenImbalance() const;  // max / mean of tokens; 1 where there are none
};

// The problem passed Check(), the placement Verify(). O(segments * (1 + ranks / 64) + ranks^2) for
// exchange needed, O(segments + ranks) for all-gather; the length of segments does not matter.
PlacementCost Evaluate(const Problem& problem, const Placement& placement);

// Modelled time of the queries of one segment, microseconds, forward and backward.
struct ComputeTime {
  double forward_us = 0;
  double backward_us = 0;
};
ComputeTime SegmentTime(const Problem& problem, const Document& document, int64_t begin,
                        int64_t end);

// No placement of the problem has a shorter modelled step: total compute shared evenly, and the
// rows that some rank receives in any case: with exchange needed, what the owner of a document's
// last token needs above the tokens it may own; with all-gather, all but an even share.
double LowerBoundUs(const Problem& problem);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_COST_MODEL_H_

// The objective of the search.

#ifndef FLASHCP_COMPILER_SOLVER_OBJECTIVE_H_
#define FLASHCP_COMPILER_SOLVER_OBJECTIVE_H_

#include "compiler/solver/cost_model.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/traffic.h"

namespace flashcp::solver {

// A rank's cost is clamped from below at the perfectly balanced time of each pass: going below it
// cannot shorten the step, which is the slowest rank forward plus the slowest one backward.
//
// Overlap is never perfect: a part of the shorter of compute and transfers counts too. Inside a
// node it only chooses between placements of equal step. Between nodes it is what stages need: a
// rank whose transfers take as long as its compute waits for the first rows and the last gradients,
// and wherever a stage brings more than it computes. A small term chooses by the time of a rank
// below the clamp.
class Objective {
 public:
  explicit Objective(const Problem& problem);

  // Returns the cost of a rank, microseconds.
  double RankUs(const ComputeTime& compute, const TransferTime& transfer) const;
  // Returns the cost of a placement: the slowest rank.
  double StepUs(const PlacementCost& cost) const;

 private:
  double exposed_share_;  // of the shorter of compute and transfers
  ComputeTime even_;      // no rank can take less than this if all take as little as they can
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_OBJECTIVE_H_

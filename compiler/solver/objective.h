// What the search minimises.

#ifndef FLASHCP_COMPILER_SOLVER_OBJECTIVE_H_
#define FLASHCP_COMPILER_SOLVER_OBJECTIVE_H_

#include "compiler/solver/cost_model.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/traffic.h"

namespace flashcp::solver {

// The step is the slowest rank forward plus the slowest one backward, and no rank helps it by
// taking less than a rank does when all work is even, forward or backward. So what counts of a
// rank's time is what it takes in each, and no less than that.
//
// Between placements of equal step a little more decides: the shorter of compute and transfers,
// since overlap is never perfect, and what a rank takes below the even work.
class Objective {
 public:
  explicit Objective(const Problem& problem);

  // Of a rank, microseconds.
  double RankUs(const ComputeTime& compute, const TransferTime& transfer) const;
  // Of a placement: the slowest rank.
  double StepUs(const PlacementCost& cost) const;

 private:
  ComputeTime even_;  // no rank can take less than this if all take as little as they can
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_OBJECTIVE_H_

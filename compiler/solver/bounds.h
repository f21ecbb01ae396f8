// Lower bounds of the modelled step: no placement of a problem is shorter.

#ifndef FLASHCP_COMPILER_SOLVER_BOUNDS_H_
#define FLASHCP_COMPILER_SOLVER_BOUNDS_H_

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Lower bounds of the modelled step for three reasons.
struct LowerBounds {
  double compute_us = 0;        // all work shared evenly
  double communication_us = 0;  // rows that ranks receive in any case, by the token cap alone
  double combined_us = 0;       // rows that they receive if the work is even enough for this step
};
// Returns all three; see bounds.cc. O(D + sum over documents of the ranks that they need).
LowerBounds BoundStep(const Problem& problem);

// Returns the largest of the bounds.
double LowerBoundUs(const Problem& problem);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_BOUNDS_H_

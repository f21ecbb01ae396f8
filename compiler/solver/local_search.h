// Improves a placement by dividing anew what two ranks hold, again and again.

#ifndef FLASHCP_COMPILER_SOLVER_LOCAL_SEARCH_H_
#define FLASHCP_COMPILER_SOLVER_LOCAL_SEARCH_H_

#include <cstdint>

#include "compiler/solver/budget.h"
#include "compiler/solver/piece.h"

namespace flashcp::solver {

struct LocalSearchOptions {
  double transfer_weight = 0.3;  // weight of transfers when splits are ranked, before evaluation
  double target_us = 0;          // stops when the modelled step is no longer
  uint64_t seed = 0;
};

// A placement no longer by the objective, with the same tokens on each rank at slack 0.
// Passes Verify() if `placement` does. Ends with the budget or at the target; with more
// than 64 ranks, when no pair helps.
Placement LocalSearch(const PieceModel& model, Placement placement,
                      const LocalSearchOptions& options, Budget& budget);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_LOCAL_SEARCH_H_

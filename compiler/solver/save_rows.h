// Saves rows that travel: of the placements with a step as short, other traffic on the same links
// prefers the one whose ranks exchange least.

#ifndef FLASHCP_COMPILER_SOLVER_SAVE_ROWS_H_
#define FLASHCP_COMPILER_SOLVER_SAVE_ROWS_H_

#include <cstdint>

#include "compiler/solver/budget.h"
#include "compiler/solver/piece.h"

namespace flashcp::solver {

// Returns a placement whose ranks receive as few K/V rows in all as the budget allows, with neither
// pass of the step more than `most_longer` times as long. Passes Verify() if `placement` does. Ends
// when no pair of ranks saves any; while more than `enough_rows` travel, perturbations follow.
Placement SaveRows(const PieceModel& model, Placement placement, double enough_rows,
                   double most_longer, Budget& budget);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SAVE_ROWS_H_

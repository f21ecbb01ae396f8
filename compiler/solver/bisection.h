// Places documents by halving the ranks again and again.

#ifndef FLASHCP_COMPILER_SOLVER_BISECTION_H_
#define FLASHCP_COMPILER_SOLVER_BISECTION_H_

#include <cstdint>

#include "compiler/solver/budget.h"
#include "compiler/solver/node_spread.h"
#include "compiler/solver/piece.h"

namespace flashcp::solver {

struct BisectionStart {
  double transfer_weight = 0.3;  // weight of transfers against work
  double token_weight = 1;       // of even tokens against even work while pieces are assigned
};

// A placement that passes Verify(), of the documents that are not spread among what the spread
// leaves of each rank. O(D log N) time for about 20 candidate splits at each level, plus sorting.
Placement Bisect(const PieceModel& model, const BisectionStart& start, const NodeSpread& spread,
                 Budget& budget);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_BISECTION_H_

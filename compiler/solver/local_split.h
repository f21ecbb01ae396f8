// Chooses the number of local tiles of a backward program that run before its remote stages.

#ifndef FLASHCP_COMPILER_SOLVER_LOCAL_SPLIT_H_
#define FLASHCP_COMPILER_SOLVER_LOCAL_SPLIT_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/cost_model.h"

namespace flashcp::solver {

// Work of a remote stage, in pairs of queries and keys, and its received K/V rows times heads.
struct RemoteWork {
  double pairs = 0;
  double rows = 0;
  double saved_rows = 0;  // of `rows`, those saved for backward: they need no re-send
};

// Backward work of one rank: local tiles, in pairs, and remote stages, both in program order.
struct BackwardWork {
  std::vector<double> local_pairs;
  std::vector<RemoteWork> remote;
};

// Number of local tiles to run before the remote stages; minimises the modelled backward time. Ties
// go to the split nearest half of the local work, or nearest none if no rows are re-sent; all tiles
// if nothing is remote. Local tiles before the stages run while K/V rows arrive, those after them
// while the last gradients leave.
int64_t LocalTilesFirst(const BackwardWork& work, const RankCost& cost);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_LOCAL_SPLIT_H_

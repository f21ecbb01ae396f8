// Memory that a rank takes besides its own tensors under a schedule, as cp-allocate-buffers lays it
// out.

#ifndef FLASHCP_COMPILER_SOLVER_WORKSPACE_H_
#define FLASHCP_COMPILER_SOLVER_WORKSPACE_H_

#include <cstdint>

#include "compiler/solver/stage_loads.h"

namespace flashcp::solver {

struct Workspace {
  int64_t forward_bytes = 0;
  int64_t backward_bytes = 0;
};

// Returns the workspaces of a rank with these `stages` stages, in `groups` groups of heads.
Workspace WorkspaceOf(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                      int num_stages, int groups);

// Returns a size that the larger workspace of some rank exceeds, or meets, however rows are dealt
// to the stages. O(ranks).
int64_t LeastWorkspaceBytes(const StageLoads& loads, int num_stages, int groups);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_WORKSPACE_H_

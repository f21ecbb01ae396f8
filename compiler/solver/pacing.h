// The pace of local tiles: a rank does them while it would otherwise wait, so that it never idles
// while it has any, and its stages, which others wait for, are done as soon as their rows are
// there.

#ifndef FLASHCP_COMPILER_SOLVER_PACING_H_
#define FLASHCP_COMPILER_SOLVER_PACING_H_

#include <vector>

#include "compiler/solver/stage_loads.h"

namespace flashcp::solver {

// Returns, by rank, the shares of its local work before each wait of a pass (PacedPass::before), as
// modelled; `row_stages` is 0 if no rows travel.
std::vector<std::vector<double>> PaceForward(const StageLoads& loads, int head_groups,
                                             int row_stages);
// `saved` says of which documents received rows are saved: they do not travel again.
std::vector<std::vector<double>> PaceBackward(const StageLoads& loads,
                                              const std::vector<bool>& saved, int head_groups,
                                              int row_stages);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_PACING_H_

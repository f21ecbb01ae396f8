// Modelled times of one rank under a schedule: its two streams, its links, and the buffers that its
// stages take turns in.

#ifndef FLASHCP_COMPILER_SOLVER_SCHEDULE_TIME_H_
#define FLASHCP_COMPILER_SOLVER_SCHEDULE_TIME_H_

#include "compiler/solver/cost_model.h"
#include "compiler/solver/stage_loads.h"

namespace flashcp::solver {

// Returns when a rank with these `stages` stages is done, forward and backward, in `groups` groups
// of heads. Ranks are not coupled: what a rank receives is there to be sent as soon as the rank has
// room for it. O(stages), whatever the number of groups.
ComputeTime ScheduleTime(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                         int num_stages, int groups);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SCHEDULE_TIME_H_

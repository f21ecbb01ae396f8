// Modelled times of one rank under a schedule: its two streams, its links, and the buffers that its
// stages take turns in.

#ifndef FLASHCP_COMPILER_SOLVER_SCHEDULE_TIME_H_
#define FLASHCP_COMPILER_SOLVER_SCHEDULE_TIME_H_

#include <vector>

#include "compiler/solver/stage_loads.h"

namespace flashcp::solver {

// A pass of one rank: when it ends, and the shares of the rank's local work that come before each
// wait of the compute stream, the same in every round; the rest comes last, but for the wait for
// the last gradients. Forward waits for the rows of each stage. Backward does too, and in between,
// in the order of the program, for what is added: gradients that came back to relays or owners.
struct PacedPass {
  double us = 0;
  std::vector<double> before;
};

// Plays a rank with these `num_stages` stages in `groups` groups of heads. Ranks are not coupled:
// what a rank receives is there to be sent as soon as the rank has room for it. O(stages), whatever
// the number of groups.
PacedPass PlayForward(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                      int num_stages, int groups);
// `resent` has the rows of each stage that travel again.
PacedPass PlayBackward(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                       const RankStage* resent, int num_stages, int groups);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SCHEDULE_TIME_H_

// In how many stages a batch's remote K/V arrive: more stages let compute start sooner, fewer cost
// fewer messages and fewer passes over partial results.

#ifndef FLASHCP_COMPILER_SOLVER_STAGES_H_
#define FLASHCP_COMPILER_SOLVER_STAGES_H_

#include <vector>

namespace flashcp::solver {

// Modelled forward times of one rank, microseconds.
struct StageLoad {
  double local_us = 0;     // tiles on the rank's own rows
  double remote_us = 0;    // tiles on received rows, all stages together
  double transfer_us = 0;  // bytes / bandwidth of what it receives or sends, the larger
  double latency_us = 0;   // of the messages of one exchange
  double merge_us = 0;     // what every stage of remote tiles adds: kernel prologues and merges
};

inline constexpr int kMaxStages = 8;

// When a rank with this load is done, its transfers and remote tiles cut into `stages` equal parts:
// exchange s starts when s - 1 is done, tiles of stage s when both exchange s and tiles of s - 1
// are.
double PipelineUs(const StageLoad& load, int stages);

// The number of stages in [1, kMaxStages] for which the slowest rank is done first; the smallest of
// equals. O(ranks * kMaxStages^2).
int ChooseStages(const std::vector<StageLoad>& ranks);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_STAGES_H_

// Stages in which a batch's remote K/V arrive, and their time: more stages let compute start
// sooner, fewer cost fewer messages. Stages of rows pass over the partial results of all queries
// once each; stages of K/V heads bring all rows of some heads, so that each result is merged once,
// but a row is no longer one piece of memory and is packed.

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
  double merge_us = 0;     // what every stage of rows adds: kernel prologues and merges
  double pack_us = 0;      // to gather and scatter all that moves, if rows are cut by heads
};

struct Pipelining {
  int stages = 1;
  bool by_heads = false;  // stages of K/V heads, not of rows
};

inline constexpr int kMaxStages = 8;

// Stages of heads must be shorter by this part than stages of rows: rows cut by heads are more and
// smaller pieces, of which the model knows little.
inline constexpr double kHeadGain = 0.02;

// When a rank with this load is done, its transfers and remote tiles cut into `stages` equal parts:
// exchange s starts when s - 1 is done, tiles of stage s when both exchange s and tiles of s - 1
// are.
double PipelineUs(const StageLoad& load, const Pipelining& pipelining);

// Stages of rows, 1 to kMaxStages, or of equally many of the key/value heads, 2 to kMaxStages, for
// which the slowest rank is done first; of equals the fewest. O(ranks * kMaxStages^2).
Pipelining ChooseStages(const std::vector<StageLoad>& ranks, int key_value_heads);

// Modelled backward times of one stage of a rank, microseconds.
struct BackwardStage {
  double resend_us = 0;  // re-send of its rows; 0 if they were saved
  double tiles_us = 0;
  double return_us = 0;  // their gradients travel back
};

// When a rank is done that computes `before_us` of local tiles, then the stages, then `after_us` of
// local tiles. Exchanges go one after another, those of rows first: tiles of a stage wait for its
// rows, its gradients for its tiles.
double BackwardUs(const std::vector<BackwardStage>& stages, double before_us, double after_us);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_STAGES_H_

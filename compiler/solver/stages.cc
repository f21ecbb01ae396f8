#include "compiler/solver/stages.h"

#include <algorithm>

namespace flashcp::solver {

double PipelineUs(const StageLoad& load, int stages) {
  double exchange_us = load.latency_us + load.transfer_us / stages;
  double tiles_us = load.remote_us > 0 ? load.merge_us + load.remote_us / stages : 0;
  double exchange_done = 0;
  double compute_done = load.local_us;
  for (int s = 0; s < stages; ++s) {
    exchange_done += exchange_us;
    compute_done = std::max(compute_done, exchange_done) + tiles_us;
  }
  return compute_done;
}

int ChooseStages(const std::vector<StageLoad>& ranks) {
  int best = 1;
  double best_us = 0;
  for (int stages = 1; stages <= kMaxStages; ++stages) {
    double slowest = 0;
    for (const StageLoad& load : ranks) slowest = std::max(slowest, PipelineUs(load, stages));
    if (stages == 1 || slowest < best_us) {
      best = stages;
      best_us = slowest;
    }
  }
  return best;
}

}  // namespace flashcp::solver

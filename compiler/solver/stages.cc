// Simulates the stages of the slowest rank, and chooses the number and kind that end first.

#include "compiler/solver/stages.h"

#include <algorithm>
#include <limits>

namespace flashcp::solver {

double PipelineUs(const StageLoad& load, const Pipelining& pipelining) {
  const int stages = pipelining.stages;
  double exchange_us = load.latency_us + load.transfer_us / stages;
  double tiles_us = load.remote_us > 0 ? load.merge_us + load.remote_us / stages : 0;
  if (pipelining.by_heads) {
    tiles_us = ((load.remote_us > 0 ? load.merge_us + load.remote_us : 0) + load.pack_us) / stages;
  }
  double exchange_done = 0;
  double compute_done = load.local_us;
  for (int s = 0; s < stages; ++s) {
    exchange_done += exchange_us;
    compute_done = std::max(compute_done, exchange_done) + tiles_us;
  }
  return compute_done;
}

namespace {

double SlowestUs(const std::vector<StageLoad>& ranks, const Pipelining& pipelining) {
  double slowest = 0;
  for (const StageLoad& load : ranks) slowest = std::max(slowest, PipelineUs(load, pipelining));
  return slowest;
}

}  // namespace

Pipelining ChooseStages(const std::vector<StageLoad>& ranks, int key_value_heads) {
  Pipelining best;
  double best_us = SlowestUs(ranks, best);
  for (bool by_heads : {false, true}) {
    if (by_heads) best_us *= 1 - kHeadGain;
    for (int stages = 2; stages <= kMaxStages; ++stages) {
      if (by_heads && key_value_heads % stages != 0) continue;
      double us = SlowestUs(ranks, {stages, by_heads});
      if (us >= best_us) continue;
      best = {stages, by_heads};
      best_us = us;
    }
  }
  return best;
}

double BackwardUs(const std::vector<BackwardStage>& stages, double before_us, double after_us) {
  double rows_done = 0;
  double compute_done = before_us;
  std::vector<double> complete;
  for (const BackwardStage& stage : stages) {
    rows_done += stage.resend_us;
    compute_done = std::max(compute_done, rows_done) + stage.tiles_us;
    complete.push_back(compute_done);
  }
  double exchange_done = rows_done;
  for (size_t s = 0; s < stages.size(); ++s) {
    exchange_done = std::max(exchange_done, complete[s]) + stages[s].return_us;
  }
  return std::max(compute_done + after_us, exchange_done);
}

}  // namespace flashcp::solver

// Plays the stages of a backward program in order.

#include "compiler/solver/stages.h"

#include <algorithm>

namespace flashcp::solver {

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

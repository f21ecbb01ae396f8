// The modelled time of a backward program: re-sent rows, tiles and gradients of its stages.

#ifndef FLASHCP_COMPILER_SOLVER_STAGES_H_
#define FLASHCP_COMPILER_SOLVER_STAGES_H_

#include <vector>

namespace flashcp::solver {

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

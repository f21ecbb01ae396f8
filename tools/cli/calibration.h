// What ranks on this host take for attention and for messages, as a cluster for the cost model.

#ifndef FLASHCP_TOOLS_CLI_CALIBRATION_H_
#define FLASHCP_TOOLS_CLI_CALIBRATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/solver/cluster.h"
#include "compiler/solver/problem.h"
#include "tools/cli/console.h"

namespace flashcp::cli {

struct CalibrationRequest {
  int ranks = 1;    // at work at the same time, since they share the host's memory
  int threads = 1;  // of each rank
  // Heads of one group are measured: times are linear in the number of groups.
  solver::HeadShape heads;
  solver::DType dtype = solver::DType::kBF16;
  int64_t tokens = 2048;  // of each rank, and of the longest document that is measured
};

// Documents of one length on every rank: what was measured, and what the fit makes of it. Each rank
// holds `tokens` tokens of them.
struct CalibrationPoint {
  int64_t length = 0;
  double forward_us = 0, backward_us = 0;  // measured: a document, one head of dimension 128
  double fitted_forward_us = 0, fitted_backward_us = 0;
};

struct Calibration {
  solver::Cluster cluster;  // passes Check()
  std::vector<CalibrationPoint> points;
};

// A warning that names the points whose fit is off by more than 15%; empty where there are none.
std::string FitWarning(const std::vector<CalibrationPoint>& points);

// Takes some seconds. Times are those of the fastest of a few rounds: other programs only make them
// longer.
absl::StatusOr<Calibration> Calibrate(const CalibrationRequest& request, const Console& console);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_CALIBRATION_H_

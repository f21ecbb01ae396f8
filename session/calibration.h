// The times that ranks on this host take for attention and for messages, as a cluster for the cost
// model.

#ifndef FLASHCP_SESSION_CALIBRATION_H_
#define FLASHCP_SESSION_CALIBRATION_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/solver/problem.h"
#include "model/cluster.h"

namespace flashcp::session {

struct CalibrationRequest {
  int ranks = 1;    // at work at the same time, since they share the host's memory
  int threads = 1;  // of each rank
  // Heads of one group are measured: times are linear in the number of groups.
  model::HeadShape heads;
  model::DType dtype = model::DType::kBF16;
  int64_t tokens = 2048;  // of each rank, and of the longest document that is measured
};

// Documents of one length on every rank, with measured and fitted times. Each rank holds `tokens`
// tokens of them.
struct CalibrationPoint {
  int64_t length = 0;
  double forward_us = 0, backward_us = 0;  // measured: a document, one head of dimension 128
  double fitted_forward_us = 0, fitted_backward_us = 0;
};

struct Calibration {
  model::Cluster cluster;  // passes Check()
  std::vector<CalibrationPoint> points;
};

// Receives the number of rounds that are done, and the number of all.
using RoundObserver = std::function<void(int done, int rounds)>;

// Measures this host, for some seconds. The fastest of a few rounds counts, since other
// programs only make times longer.
absl::StatusOr<Calibration> Calibrate(const CalibrationRequest& request,
                                      const RoundObserver& observer = nullptr);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_CALIBRATION_H_

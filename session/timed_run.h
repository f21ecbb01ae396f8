// A plan, run on all ranks again and again, and the times of its passes.

#ifndef FLASHCP_SESSION_TIMED_RUN_H_
#define FLASHCP_SESSION_TIMED_RUN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/plan/plan.h"
#include "session/ranks.h"
#include "session/tensors.h"
#include "session/traces.h"

namespace flashcp::session {

struct RunOptions {
  int64_t iterations = 1;
  bool backward = false;
  bool trace = false;
  absl::Duration timeout = absl::Seconds(60);  // of every wait for another rank
  CpuDeviceOptions device;
};

// Milliseconds of the slowest rank, one for each iteration, in ascending order. Measured.
struct Times {
  std::vector<double> forward, backward;
};

struct Measured {
  Times times;
  std::vector<HostTrace> traces;  // of all ranks, if asked for; on the leading process
};

// A pass of all ranks that begins or has ended.
struct PassEvent {
  int64_t iteration;
  bool backward;
  std::optional<double> ms;  // of the slowest rank, once the pass has ended
};
// Receives the events as rank 0 sees them, on its thread; called in its process alone.
using RunObserver = std::function<void(const PassEvent&)>;

// Runs the plan on the batch, which gets the results of the last iteration. Ranks begin each pass
// together.
absl::StatusOr<Measured> TimedRun(const Plan& plan, const RunOptions& options, Ranks* ranks,
                                  BatchTensors* batch, const RunObserver& observer = nullptr);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_TIMED_RUN_H_

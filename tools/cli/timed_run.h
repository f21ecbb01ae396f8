// A plan, run on all ranks again and again, and how long its passes took.

#ifndef FLASHCP_TOOLS_CLI_TIMED_RUN_H_
#define FLASHCP_TOOLS_CLI_TIMED_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/device.h"
#include "runtime/plan/plan.h"
#include "runtime/trace.h"
#include "tools/cli/console.h"
#include "tools/cli/ranks.h"
#include "tools/cli/tensors.h"
#include "tools/cli/trace_file.h"

namespace flashcp::cli {

struct RunOptions {
  std::string transport = "threads";
  int64_t iterations = 1;
  int64_t seed = 0;  // of random tensors
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

// Runs the plan on the batch, whose results are those of the last iteration. Ranks begin each pass
// together.
absl::StatusOr<Measured> TimedRun(const Plan& plan, const RunOptions& options,
                                  const Console& console, Ranks* ranks, BatchTensors* batch);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TIMED_RUN_H_

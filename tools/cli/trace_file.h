// The timeline of a step as a file: how the times of all ranks come together, and how they are
// written for ui.perfetto.dev and chrome://tracing.

#ifndef FLASHCP_TOOLS_CLI_TRACE_FILE_H_
#define FLASHCP_TOOLS_CLI_TRACE_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/plan/plan.h"
#include "runtime/trace.h"
#include "runtime/transport.h"

namespace flashcp::cli {

// What one rank did, and the name of the host that it ran on.
struct HostTrace {
  RankTrace trace;
  std::string host;
};

// The traces of all ranks, by rank, on the clock of rank 0; nothing on other ranks than that. All
// ranks call it after the same steps, `local` has forward, and backward on all ranks or on none.
// Clocks of ranks on different hosts are compared to within the time of an all-gather.
absl::StatusOr<std::vector<HostTrace>> GatherTraces(const Plan& plan, const RankTrace& local,
                                                    Transport* transport, absl::Duration timeout);

// The Chrome trace format (JSON): one process for each rank, threads for its streams. The first
// instruction starts at 0. `otherData` has the plan's hash and the hosts, in the order of the
// ranks.
std::string TraceJson(const Plan& plan, const std::vector<HostTrace>& traces);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TRACE_FILE_H_

// The timeline of a step as a file for ui.perfetto.dev and chrome://tracing.

#ifndef FLASHCP_TOOLS_CLI_TRACE_FILE_H_
#define FLASHCP_TOOLS_CLI_TRACE_FILE_H_

#include <string>
#include <vector>

#include "runtime/plan/plan.h"
#include "session/traces.h"

namespace flashcp::cli {

// Returns the Chrome trace format (JSON): one process for each rank, threads for its streams. The
// first instruction starts at 0. `otherData` has the plan's hash and the hosts, in the order of the
// ranks.
std::string TraceJson(const Plan& plan, const std::vector<session::HostTrace>& traces);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TRACE_FILE_H_

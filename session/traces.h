// The timelines of all ranks, brought together on one clock.

#ifndef FLASHCP_SESSION_TRACES_H_
#define FLASHCP_SESSION_TRACES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/plan/plan.h"
#include "runtime/trace.h"
#include "runtime/transport.h"

namespace flashcp::session {

// The timeline of one rank, and the name of the host that it ran on.
struct HostTrace {
  RankTrace trace;
  std::string host;
};

// Returns the traces of all ranks, by rank, on the clock of rank 0; nothing on other ranks than
// that. All ranks call it after the same steps, `local` has forward, and backward on all ranks or
// on none. Clocks of ranks on different hosts are compared to within the time of an all-gather.
absl::StatusOr<std::vector<HostTrace>> GatherTraces(const Plan& plan, const RankTrace& local,
                                                    Transport* transport, absl::Duration timeout);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_TRACES_H_

// The memory that a run needs, known before it takes any.

#ifndef FLASHCP_SESSION_MEMORY_H_
#define FLASHCP_SESSION_MEMORY_H_

#include "absl/status/status.h"
#include "runtime/plan/plan.h"
#include "session/ranks.h"

namespace flashcp::session {

// ResourceExhausted if tensors and workspaces of the ranks of this process need more memory than
// there is; names the amounts needed and found, and the rank that needs most.
absl::Status CheckMemory(const Plan& plan, bool backward, const Ranks& ranks);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_MEMORY_H_

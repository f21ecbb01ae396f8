// Whether the memory is there that `flashcp run` will need, known before it takes any.

#ifndef FLASHCP_TOOLS_CLI_RUN_MEMORY_H_
#define FLASHCP_TOOLS_CLI_RUN_MEMORY_H_

#include "absl/status/status.h"
#include "runtime/plan/plan.h"
#include "tools/cli/ranks.h"

namespace flashcp::cli {

// ResourceExhausted if tensors and workspaces of the ranks of this process need more memory than
// there is: says what is needed and found, and which rank needs most.
absl::Status CheckRunMemory(const Plan& plan, bool backward, const Ranks& ranks);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_RUN_MEMORY_H_

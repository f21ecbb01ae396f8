// Whether the inputs of a batch are finite numbers, and where the first is not.

#ifndef FLASHCP_TOOLS_CLI_FINITE_H_
#define FLASHCP_TOOLS_CLI_FINITE_H_

#include "absl/status/status.h"
#include "runtime/plan/plan.h"
#include "tools/cli/tensors.h"

namespace flashcp::cli {

// DataLoss where Q, K, V or dO, in this order, hold a NaN or an infinity in the plan's dtype: names
// the first one and the rank that owns its token.
absl::Status CheckFinite(const Plan& plan, const BatchTensors& tensors);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_FINITE_H_

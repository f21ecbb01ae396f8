// A search for inputs of a batch that are not finite numbers.

#ifndef FLASHCP_SESSION_FINITE_H_
#define FLASHCP_SESSION_FINITE_H_

#include "absl/status/status.h"
#include "runtime/plan/plan.h"
#include "session/tensors.h"

namespace flashcp::session {

// DataLoss if Q, K, V or dO, in this order, hold a NaN or an infinity in the plan's dtype; names
// the first one and the rank that owns its token.
absl::Status CheckFinite(const Plan& plan, const BatchTensors& tensors);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_FINITE_H_

// The way back from a plan to the request that it was made from.

#ifndef FLASHCP_SESSION_REQUEST_H_
#define FLASHCP_SESSION_REQUEST_H_

#include "compiler/input/request.h"
#include "runtime/plan/plan.h"

namespace flashcp::session {

// Returns the request that `plan`, which has passed VerifyPlan, was made from.
CompileRequest RequestOf(const Plan& plan);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_REQUEST_H_

// The way back from a plan to the request that it was made from.

#ifndef FLASHCP_SESSION_REQUEST_H_
#define FLASHCP_SESSION_REQUEST_H_

#include "compiler/input/request.h"
#include "compiler/solver/problem.h"
#include "runtime/plan/plan.h"

namespace flashcp::session {

// Returns the problem that a plan solves, well or not: any plan that loads has one.
solver::Problem ProblemOf(const Plan& plan);

// Returns the request that `plan`, which has passed VerifyPlan, was made from.
CompileRequest RequestOf(const Plan& plan);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_REQUEST_H_

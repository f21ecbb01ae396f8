// One layout for several plans: models whose layers have different masks run all of them on the
// same rows, so that a further mask is planned where the first one put the tokens.

#ifndef FLASHCP_COMPILER_INPUT_LAYOUT_H_
#define FLASHCP_COMPILER_INPUT_LAYOUT_H_

#include "absl/status/status.h"
#include "compiler/input/request.h"
#include "compiler/solver/problem.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// Returns the owners of all tokens. `plan`, here and below, has passed VerifyPlan.
solver::Placement PlacementOf(const Plan& plan);

// Makes the request one on the layout of `plan`: takes its placement and its slack. Ranks and
// lengths of the request must be the plan's, strategy and slack at their defaults or the plan's;
// masks, heads, dtype, cluster and all else may differ, since a layout is about tokens alone.
// InvalidArgument, naming the field, what was expected and found.
absl::Status TakeLayout(const Plan& plan, CompileRequest* request);

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_LAYOUT_H_

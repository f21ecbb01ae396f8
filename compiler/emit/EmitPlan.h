// Translation of a scheduled batch to a plan value.

#ifndef FLASHCP_COMPILER_EMIT_EMITPLAN_H
#define FLASHCP_COMPILER_EMIT_EMITPLAN_H

#include "dialects/cp/CP.h"
#include "runtime/plan/plan.h"

namespace flashcp {

/// The plan of a batch that passed cp-verify-phase{phase=scheduled}. O(M + D N)
/// for M pieces of messages.
mlir::FailureOr<Plan> emitPlan(cp::BatchOp batch);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITPLAN_H

// Translation of a scheduled batch to a plan value.

#ifndef FLASHCP_COMPILER_EMITPLAN_H
#define FLASHCP_COMPILER_EMITPLAN_H

#include "dialects/cp/CP.h"
#include "runtime/plan/plan.h"

namespace flashcp {

/// The plan of a batch that passed cp-verify-phase{phase=scheduled}. `strategy`
/// and `timeBudgetMs` are kept in the plan as what was asked for. O(M + D N)
/// for M pieces of messages.
mlir::FailureOr<Plan> emitPlan(cp::BatchOp batch, llvm::StringRef strategy,
                               double timeBudgetMs);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMITPLAN_H

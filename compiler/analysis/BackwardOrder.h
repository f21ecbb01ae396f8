// Checks that the ops of a backward pass come in an order in which gradients
// are complete when they travel: constraint C33 of docs/dialect.md.

#ifndef FLASHCP_COMPILER_ANALYSIS_BACKWARDORDER_H
#define FLASHCP_COMPILER_ANALYSIS_BACKWARDORDER_H

#include "dialects/cp/CP.h"

namespace flashcp {

/// Emits an error on the op of the program's backward pass that breaks the
/// order. `resends` says whether rows of some rank of the batch are re-sent.
mlir::LogicalResult verifyBackward(cp::ProgramOp program, bool resends);

/// Returns whether an exchange of the batch receives rows that are not saved.
bool resendsRows(cp::BatchOp batch);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_BACKWARDORDER_H

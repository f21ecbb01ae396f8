// Whether the ops of a backward pass come in an order in which gradients are
// complete when they travel: constraint C33 of docs/dialect.md.

#ifndef FLASHCP_COMPILER_ANALYSIS_BACKWARDORDER_H
#define FLASHCP_COMPILER_ANALYSIS_BACKWARDORDER_H

#include "dialects/cp/CP.h"
#include "llvm/ADT/BitVector.h"
#include <string>

namespace flashcp {

/// What is wrong with the cp.backward of a program, or an empty string. `kept`
/// are the documents whose rows are not sent again.
std::string checkBackward(cp::ProgramOp program, const llvm::BitVector &kept);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_BACKWARDORDER_H

// The backward pass of one rank: instructions over its forward tables.

#ifndef FLASHCP_COMPILER_EMIT_EMITBACKWARD_H
#define FLASHCP_COMPILER_EMIT_EMITBACKWARD_H

#include "compiler/emit/PlanTables.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// Adds the instructions of a program's cp.backward to its tables, which hold
/// the forward pass.
void emitBackward(cp::ProgramOp program, RankTables &tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITBACKWARD_H

// Emits the instructions of one rank, of both passes.

#ifndef FLASHCP_COMPILER_EMIT_EMITINSTRUCTIONS_H
#define FLASHCP_COMPILER_EMIT_EMITINSTRUCTIONS_H

#include "compiler/emit/PlanTables.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// Adds the instructions of a program to `tables`. `messageEnds` holds, for
/// each exchange of the program in order, the number of messages up to its
/// last.
void emitInstructions(cp::ProgramOp program,
                      llvm::ArrayRef<uint32_t> messageEnds, RankTables &tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITINSTRUCTIONS_H

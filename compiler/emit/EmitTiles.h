// Emits the tiles of one rank.

#ifndef FLASHCP_COMPILER_EMIT_EMITTILES_H
#define FLASHCP_COMPILER_EMIT_EMITTILES_H

#include "compiler/emit/EmitBuffers.h"

namespace flashcp {

/// Adds the tiles of a program to `tables`, in the order of its attends.
/// `documents` are those of the plan, whose bands the tiles get.
void emitTiles(cp::ProgramOp program, llvm::ArrayRef<fbs::Document> documents,
               const RankRows &rows, RankTables &tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITTILES_H

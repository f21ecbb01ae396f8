// The tables of one rank that do not depend on other ranks: layout, buffers,
// tiles.

#ifndef FLASHCP_COMPILER_EMIT_EMITPROGRAM_H
#define FLASHCP_COMPILER_EMIT_EMITPROGRAM_H

#include "compiler/analysis/RowIndex.h"
#include "compiler/emit/PlanTables.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// Numbers of the caller's tensors in the table of buffers, the same on all
/// ranks.
enum HomeBuffer : uint16_t { kQuery, kKey, kValue, kOutput, kLse };

/// K/V rows: buffer numbers and where each token is.
struct KeyValueRows {
  uint16_t keyBuffer = kKey;
  uint16_t valueBuffer = kValue;
  RowIndex index{{}};
};

/// The K/V rows that a stage reads: those of saved documents apart from others.
struct StageRows {
  KeyValueRows rows, savedRows;

  const KeyValueRows &of(bool kept) const { return kept ? savedRows : rows; }
};

/// Adds layout, buffers and tiles of a program to `tables`; returns the rows
/// that each stage reads, stage 0 first. `documents` are those of the plan,
/// whose bands the tiles get; `kept` those that are.
std::vector<StageRows> emitProgram(cp::BatchOp batch, cp::ProgramOp program,
                                   mlir::ArrayRef<fbs::Document> documents,
                                   const llvm::BitVector &kept,
                                   RankTables &tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITPROGRAM_H

// Rules between the ops of a batch at a phase boundary: constraints C22 to C33
// of docs/dialect.md. Each function emits an error on the op that breaks a rule,
// with a note at the op that the rule relates it to.

#ifndef FLASHCP_COMPILER_ANALYSIS_PHASERULES_H
#define FLASHCP_COMPILER_ANALYSIS_PHASERULES_H

#include "compiler/analysis/BatchAnalysis.h"

namespace flashcp {

/// The tiles of each document, whoever computes them.
using TilesByDocument = std::vector<llvm::SmallVector<cp::StageTile>>;

/// C22: one shard per document, in the order of the documents. C23: equal
/// tokens.
mlir::LogicalResult verifyShards(cp::BatchOp batch,
                                 const BatchAnalysis &analysis);

/// C25: every allowed pair is computed exactly once, by the tiles of cp.tiles.
mlir::LogicalResult verifyTiles(cp::BatchOp batch,
                                const BatchAnalysis &analysis);

/// C24, C31: the rank of a tile owns or receives every key that it reads, and
/// owns its queries; relays receive what they send on.
mlir::LogicalResult verifyTransfers(cp::BatchOp batch,
                                    const BatchAnalysis &analysis);

/// C25 to C29, C32, C33: the programs of all ranks.
mlir::LogicalResult verifyPrograms(cp::BatchOp batch,
                                   const BatchAnalysis &analysis);

/// C25 for tiles from anywhere.
mlir::LogicalResult verifyCoverage(const BatchAnalysis &analysis,
                                   int64_t queryHeads, TilesByDocument tiles);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_PHASERULES_H

// The phase of a batch, which follows from its ops: each pass asks for the one
// that it takes.

#ifndef FLASHCP_COMPILER_ANALYSIS_PHASE_H
#define FLASHCP_COMPILER_ANALYSIS_PHASE_H

#include "dialects/cp/CP.h"

namespace flashcp {

/// In the order of the pipeline. A scheduled batch is complete once its
/// programs have buffers and a backward pass.
enum class Phase { problem, placed, communicating, scheduled, complete };

/// Emits an error on the batch if it is not in phase `wanted`, which `pass`
/// takes; the error names both phases and what is to run before. A batch
/// without transfers is in phase communicating too if no rank reads a row of
/// another, and a batch without documents is in each of the first three.
mlir::LogicalResult requirePhase(cp::BatchOp batch, Phase wanted,
                                 llvm::StringRef pass);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_PHASE_H

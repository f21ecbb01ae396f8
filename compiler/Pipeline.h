// The pipeline that takes a batch from phase problem to scheduled, for the
// compiler and for flashcp-opt.

#ifndef FLASHCP_COMPILER_PIPELINE_H
#define FLASHCP_COMPILER_PIPELINE_H

#include "mlir/Pass/PassManager.h"

namespace flashcp {

/// Adds the passes that take a cp.batch from phase problem to scheduled.
void buildCompilePipeline(mlir::OpPassManager &module);

/// Registers the passes and the pipeline `cp-compile` for flashcp-opt.
void registerCompiler();

} // namespace flashcp

#endif // FLASHCP_COMPILER_PIPELINE_H

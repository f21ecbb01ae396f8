// The pipeline that takes a batch from phase problem to scheduled, for the
// compiler and for flashcp-opt.

#ifndef FLASHCP_COMPILER_PIPELINE_H
#define FLASHCP_COMPILER_PIPELINE_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace flashcp {

struct CompileOptions : mlir::PassPipelineOptions<CompileOptions> {
  Option<std::string> strategy{*this, "strategy",
                               llvm::cl::desc("placement strategy"),
                               llvm::cl::init("auto")};
  Option<double> timeBudgetMs{*this, "time-budget-ms",
                              llvm::cl::desc("how long auto searches"),
                              llvm::cl::init(20)};
  Option<int64_t> memoryBudget{
      *this, "memory-budget",
      llvm::cl::desc("bytes of a rank for rows that stay until backward"),
      llvm::cl::init(0)};
};

/// Adds the passes that take a cp.batch from phase problem to scheduled.
void buildCompilePipeline(mlir::OpPassManager &module,
                          const CompileOptions &options);

/// Registers the passes and the pipeline `cp-compile` for flashcp-opt.
void registerCompiler();

} // namespace flashcp

#endif // FLASHCP_COMPILER_PIPELINE_H

// From GPU kernels as MLIR to LLVM IR or PTX, in process; needs no CUDA
// toolkit.

#ifndef FLASHCP_CODEGEN_NVPTX_LOWERING_H_
#define FLASHCP_CODEGEN_NVPTX_LOWERING_H_

#include "codegen/common/MachineCode.h"
#include "codegen/nvptx/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace flashcp::codegen::nvptx {

/// Loads all dialects that kernels are made of and lowered through.
void loadDialects(mlir::MLIRContext &context);

/// Builds attention of these shapes and, if asked for, the kernels that move
/// memory.
mlir::OwningOpRef<mlir::ModuleOp>
buildKernels(mlir::MLIRContext &context, llvm::ArrayRef<AttentionShape> forward,
             llvm::ArrayRef<AttentionShape> backward, bool memory);

/// Writes the module, which it may change, in the form that is asked for:
/// `assembly` is PTX. Errors go to the module's diagnostics.
mlir::LogicalResult emitKernels(mlir::ModuleOp module, const GpuTarget &target,
                                Emission emission,
                                llvm::raw_pwrite_stream &output);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_LOWERING_H_

// From kernels as MLIR to text or machine code for x86, in process: a pass
// pipeline, then LLVM's optimiser and code generator.

#ifndef FLASHCP_CODEGEN_X86_LOWERING_H_
#define FLASHCP_CODEGEN_X86_LOWERING_H_

#include "codegen/common/MachineCode.h"
#include "codegen/x86/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace flashcp::codegen::x86 {

/// Loads all dialects that kernels are made of and lowered through.
void loadDialects(mlir::MLIRContext &context);

/// Builds all functions of these kernels.
mlir::OwningOpRef<mlir::ModuleOp>
buildKernels(mlir::MLIRContext &context, llvm::ArrayRef<KernelShape> shapes);

/// Writes the module, which it may change, in the form that is asked for; code
/// is for the target of `shape`, which is that of all kernels. Errors go to the
/// module's diagnostics.
mlir::LogicalResult emitKernels(mlir::ModuleOp module, const KernelShape &shape,
                                Emission emission,
                                llvm::raw_pwrite_stream &output);

} // namespace flashcp::codegen::x86

#endif // FLASHCP_CODEGEN_X86_LOWERING_H_

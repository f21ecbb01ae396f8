// From kernels as MLIR to text or machine code, in process: a pass pipeline,
// then LLVM's optimiser and code generator.

#ifndef FLASHCP_COMPILER_CODEGEN_LOWERING_H_
#define FLASHCP_COMPILER_CODEGEN_LOWERING_H_

#include "compiler/codegen/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/raw_ostream.h"

namespace flashcp::codegen {

enum class Emission { mlir, llvm, assembly, object };

/// A context with all dialects that kernels are made of and lowered through.
void loadDialects(mlir::MLIRContext &context);

/// All functions of these kernels.
mlir::OwningOpRef<mlir::ModuleOp>
buildKernels(mlir::MLIRContext &context, llvm::ArrayRef<KernelShape> shapes);

/// Writes the module, which it may change, in the form that is asked for; code
/// is for the target of `shape`, which is that of all kernels. Errors go to the
/// module's diagnostics.
mlir::LogicalResult emitKernels(mlir::ModuleOp module, const KernelShape &shape,
                                Emission emission,
                                llvm::raw_pwrite_stream &output);

} // namespace flashcp::codegen

#endif // FLASHCP_COMPILER_CODEGEN_LOWERING_H_

// The attention kernels as MLIR functions; runtime/cpu/generated_kernels.h
// declares them to C++, argument by argument.

#ifndef FLASHCP_CODEGEN_X86_KERNELS_H_
#define FLASHCP_CODEGEN_X86_KERNELS_H_

#include "codegen/x86/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace flashcp::codegen::x86 {

/// Return flashcp_forward_NAME and flashcp_backward_NAME.
std::string forwardSymbol(const KernelShape &shape);
std::string backwardSymbol(const KernelShape &shape);

/// Adds the forward kernel to the module: one panel of queries against a run of
/// packed keys and values.
void buildForward(mlir::ModuleOp module, const KernelShape &shape);

/// Adds the backward kernel to the module: a block of query panels against a
/// block of keys, all five products of the backward pass.
void buildBackward(mlir::ModuleOp module, const KernelShape &shape);

} // namespace flashcp::codegen::x86

#endif // FLASHCP_CODEGEN_X86_KERNELS_H_

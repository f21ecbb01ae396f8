// The attention kernels as MLIR functions; runtime/cpu/generated_kernels.h
// declares them to C++, argument by argument.

#ifndef FLASHCP_COMPILER_CODEGEN_KERNELS_H_
#define FLASHCP_COMPILER_CODEGEN_KERNELS_H_

#include "compiler/codegen/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace flashcp::codegen {

/// flashcp_forward_NAME and flashcp_backward_NAME.
std::string forwardSymbol(const KernelShape &shape);
std::string backwardSymbol(const KernelShape &shape);

/// Adds to the module: one panel of queries against a run of packed keys and
/// values.
void buildForward(mlir::ModuleOp module, const KernelShape &shape);

/// Adds to the module: a block of query panels against a block of keys, all
/// five products of the backward pass.
void buildBackward(mlir::ModuleOp module, const KernelShape &shape);

} // namespace flashcp::codegen

#endif // FLASHCP_COMPILER_CODEGEN_KERNELS_H_

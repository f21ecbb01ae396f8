// The GPU kernels as MLIR functions. Each reads one table; kernel_abi.h says
// what a table holds.

#ifndef FLASHCP_CODEGEN_NVPTX_KERNELS_H_
#define FLASHCP_CODEGEN_NVPTX_KERNELS_H_

#include "codegen/nvptx/DeviceEmitter.h"
#include "codegen/nvptx/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"

namespace flashcp::codegen::nvptx {

/// Adds flashcp_clear: floats that become 0, of ClearItem.
void buildClear(mlir::ModuleOp module);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_KERNELS_H_

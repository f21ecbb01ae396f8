// The GPU kernels as MLIR functions. Each reads one table; kernel_abi.h says
// what a table holds.

#ifndef FLASHCP_CODEGEN_NVPTX_KERNELS_H_
#define FLASHCP_CODEGEN_NVPTX_KERNELS_H_

#include "codegen/nvptx/DeviceEmitter.h"
#include "codegen/nvptx/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"

namespace flashcp::codegen::nvptx {

/// Dynamic shared memory of the kernels that move memory, and the most
/// registers of a thread that a build of them may report.
constexpr int kMemorySharedBytes = 16, kMemoryRegisters = 64;

/// Adds the forward kernel of a shape: of ForwardItem and ForwardTile.
void buildForward(mlir::ModuleOp module, const AttentionShape &shape);

/// Adds the backward kernel of a shape: of BackwardItem, BackwardTile and Turn.
void buildBackward(mlir::ModuleOp module, const AttentionShape &shape);

/// Adds flashcp_clear: floats that become 0, of ClearItem.
void buildClear(mlir::ModuleOp module);

/// Adds flashcp_copy: bytes, of Move and MoveItem.
void buildCopy(mlir::ModuleOp module);

/// Adds flashcp_round_<element>: floats rounded to elements, likewise.
void buildRound(mlir::ModuleOp module, Element element);

/// Adds flashcp_add_<element>: elements added to floats, likewise.
void buildAdd(mlir::ModuleOp module, Element element);

/// Adds flashcp_product_<element>: delta, of ProductItem.
void buildProduct(mlir::ModuleOp module, Element element);

/// Adds flashcp_merge_<element>: partial results, of MergeItem.
void buildMerge(mlir::ModuleOp module, Element element);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_KERNELS_H_

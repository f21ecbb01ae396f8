// Attention for Hopper: wgmma, TMA and warp specialisation.

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_SM90KERNELS_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_SM90KERNELS_H_

#include "codegen/nvptx/KernelInfo.h"
#include "codegen/nvptx/KernelShape.h"

#include "mlir/IR/BuiltinOps.h"

namespace flashcp::codegen::nvptx::sm90 {

/// Return the head dimensions that have kernels.
std::vector<HeadDims> forwardDims();
std::vector<HeadDims> backwardDims();

void buildForward(mlir::ModuleOp module, const AttentionShape &shape);
void buildBackward(mlir::ModuleOp module, const AttentionShape &shape);

KernelInfo forwardInfo(const AttentionShape &shape);
KernelInfo backwardInfo(const AttentionShape &shape);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_SM90KERNELS_H_

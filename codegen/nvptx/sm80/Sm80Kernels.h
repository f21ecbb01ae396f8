// The kernels of GPUs that have mma.sync and cp.async: sm_80 and newer.

#ifndef FLASHCP_CODEGEN_NVPTX_SM80_SM80KERNELS_H_
#define FLASHCP_CODEGEN_NVPTX_SM80_SM80KERNELS_H_

#include "codegen/nvptx/KernelInfo.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"

namespace flashcp::codegen::nvptx::sm80 {

llvm::ArrayRef<HeadDims> forwardDims();
llvm::ArrayRef<HeadDims> backwardDims();

KernelInfo forwardInfo(const AttentionShape &shape);
KernelInfo backwardInfo(const AttentionShape &shape);

void buildForward(mlir::ModuleOp module, const AttentionShape &shape);
void buildBackward(mlir::ModuleOp module, const AttentionShape &shape);

} // namespace flashcp::codegen::nvptx::sm80

#endif // FLASHCP_CODEGEN_NVPTX_SM80_SM80KERNELS_H_

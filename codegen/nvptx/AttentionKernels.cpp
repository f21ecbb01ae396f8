// Attention kernels by target: each has a room of its own.

#include "codegen/nvptx/KernelInfo.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/sm80/Sm80Kernels.h"

namespace flashcp::codegen::nvptx {

KernelInfo forwardInfo(const AttentionShape &shape) {
  return sm80::forwardInfo(shape);
}

KernelInfo backwardInfo(const AttentionShape &shape) {
  return sm80::backwardInfo(shape);
}

void buildForward(mlir::ModuleOp module, const AttentionShape &shape) {
  sm80::buildForward(module, shape);
}

void buildBackward(mlir::ModuleOp module, const AttentionShape &shape) {
  sm80::buildBackward(module, shape);
}

} // namespace flashcp::codegen::nvptx

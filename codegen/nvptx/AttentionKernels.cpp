// Attention kernels by target: each has a room of its own.

#include "codegen/nvptx/KernelInfo.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/sm80/Sm80Kernels.h"
#include "codegen/nvptx/sm90/Sm90Kernels.h"

namespace flashcp::codegen::nvptx {

KernelInfo forwardInfo(const AttentionShape &shape) {
  return shape.target->hopper ? sm90::forwardInfo(shape)
                              : sm80::forwardInfo(shape);
}

KernelInfo backwardInfo(const AttentionShape &shape) {
  return shape.target->hopper ? sm90::backwardInfo(shape)
                              : sm80::backwardInfo(shape);
}

void buildForward(mlir::ModuleOp module, const AttentionShape &shape) {
  if (shape.target->hopper)
    sm90::buildForward(module, shape);
  else
    sm80::buildForward(module, shape);
}

void buildBackward(mlir::ModuleOp module, const AttentionShape &shape) {
  if (shape.target->hopper)
    sm90::buildBackward(module, shape);
  else
    sm80::buildBackward(module, shape);
}

} // namespace flashcp::codegen::nvptx

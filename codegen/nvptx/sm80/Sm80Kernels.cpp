// What kernels exist, and how they are launched.

#include "codegen/nvptx/sm80/Sm80Kernels.h"

#include "codegen/nvptx/sm80/Blocking.h"

namespace flashcp::codegen::nvptx::sm80 {

static constexpr int maxRegisters = 255;

llvm::ArrayRef<HeadDims> forwardDims() { return kHeadDims; }

llvm::ArrayRef<HeadDims> backwardDims() { return kHeadDims; }

KernelInfo forwardInfo(const AttentionShape &shape) {
  ForwardBlocking blocking = forwardBlocking(shape.dims);
  return {"flashcp_forward_" + shape.name(),
          blocking.threads(),
          blocking.sharedBytes,
          blocking.rows(),
          blocking.keys,
          maxRegisters};
}

KernelInfo backwardInfo(const AttentionShape &shape) {
  BackwardBlocking blocking = backwardBlocking(shape.dims);
  return {"flashcp_backward_" + shape.name(),
          blocking.threads(),
          blocking.sharedBytes,
          blocking.rows,
          blocking.keys(),
          maxRegisters};
}

} // namespace flashcp::codegen::nvptx::sm80

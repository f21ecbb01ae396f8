// Which attention kernels exist for GPUs: targets, head dimensions and element
// types, and the names that launchers find them by.

#ifndef FLASHCP_CODEGEN_NVPTX_KERNELSHAPE_H_
#define FLASHCP_CODEGEN_NVPTX_KERNELSHAPE_H_

#include "codegen/common/HeadDims.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace flashcp::codegen::nvptx {

/// A GPU architecture that code is generated for.
struct GpuTarget {
  llvm::StringRef name; // as ptxas and LLVM call it
  /// LLVM's name of the oldest PTX version that has all instructions used:
  /// drivers refuse newer versions than their own.
  llvm::StringRef ptxFeature;
  /// Whether kernels use wgmma, TMA and warp specialisation.
  bool hopper;
};

llvm::ArrayRef<GpuTarget> gpuTargets();

enum class Element { bf16, f16 };

llvm::StringRef elementName(Element element);

/// Attention of one target, element type and pair of head dimensions.
struct AttentionShape {
  const GpuTarget *target;
  Element element;
  HeadDims dims;

  /// Returns for instance sm_90a_bf16_128_128.
  std::string name() const;
};

/// Returns the shapes that a target has forward and backward kernels for.
std::vector<AttentionShape> forwardShapes(const GpuTarget &target);
std::vector<AttentionShape> backwardShapes(const GpuTarget &target);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_KERNELSHAPE_H_

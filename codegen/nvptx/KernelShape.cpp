// The targets, and the shapes that each has kernels for.

#include "codegen/nvptx/KernelShape.h"

#include "codegen/nvptx/sm80/Sm80Kernels.h"
#include "codegen/nvptx/sm90/Sm90Kernels.h"

namespace flashcp::codegen::nvptx {

// sm_80 code runs on every GPU from Ampere on, sm_90a code on Hopper alone.
static constexpr GpuTarget targets[] = {
    {"sm_80", "+ptx70", /*hopper=*/false},
    {"sm_90a", "+ptx83", /*hopper=*/true},
};

llvm::ArrayRef<GpuTarget> gpuTargets() { return targets; }

llvm::StringRef elementName(Element element) {
  return element == Element::bf16 ? "bf16" : "f16";
}

std::string AttentionShape::name() const {
  std::string text = target->name.str();
  text += "_" + elementName(element).str();
  text += "_" + std::to_string(dims.dim) + "_" + std::to_string(dims.valueDim);
  return text;
}

// Returns the shapes of both element types.
static std::vector<AttentionShape> allElements(const GpuTarget &target,
                                               llvm::ArrayRef<HeadDims> dims) {
  std::vector<AttentionShape> shapes;
  for (Element element : {Element::bf16, Element::f16})
    for (HeadDims pair : dims)
      shapes.push_back({&target, element, pair});
  return shapes;
}

std::vector<AttentionShape> forwardShapes(const GpuTarget &target) {
  if (target.hopper)
    return allElements(target, sm90::forwardDims());
  return allElements(target, sm80::forwardDims());
}

std::vector<AttentionShape> backwardShapes(const GpuTarget &target) {
  if (target.hopper)
    return allElements(target, sm90::backwardDims());
  return allElements(target, sm80::backwardDims());
}

} // namespace flashcp::codegen::nvptx

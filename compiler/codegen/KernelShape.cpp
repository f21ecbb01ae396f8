#include "compiler/codegen/KernelShape.h"

#include "llvm/ADT/STLExtras.h"

namespace flashcp::codegen {

// Blocking. avx2 has 16 registers: 4 x 3 sums, 3 vectors and a broadcast take
// all of them; dims are not a multiple of 3 vectors, so gradients are summed as
// 6 x 2. avx512 has 32; 8 x 2 sums leave the panel small, which wastes less at
// a causal diagonal than a wide one.
static constexpr KernelTarget targets[] = {
    {"avx2", "x86-64-v3", "", /*lanes=*/8, /*rowVectors=*/3, /*group=*/4,
     /*keyBlock=*/128, /*gradientKeyBlock=*/96, /*gradientGroup=*/6,
     /*gradientVectors=*/2, /*scalesByPowers=*/false, /*pairs=*/false},
    {"avx512", "x86-64-v4", "", /*lanes=*/16, /*rowVectors=*/2, /*group=*/8,
     /*keyBlock=*/128, /*gradientKeyBlock=*/96, /*gradientGroup=*/8,
     /*gradientVectors=*/2, /*scalesByPowers=*/true, /*pairs=*/false},
    {"avx512-bf16", "x86-64-v4", "+avx512bf16", /*lanes=*/16, /*rowVectors=*/2,
     /*group=*/8, /*keyBlock=*/128, /*gradientKeyBlock=*/96,
     /*gradientGroup=*/8, /*gradientVectors=*/2, /*scalesByPowers=*/true,
     /*pairs=*/true},
};

llvm::ArrayRef<KernelTarget> kernelTargets() { return targets; }

const KernelTarget *findTarget(llvm::StringRef name) {
  const auto *found = llvm::find_if(
      targets, [&](const KernelTarget &target) { return target.name == name; });
  return found == std::end(targets) ? nullptr : found;
}

std::string KernelShape::name() const {
  std::string text = emulated ? "emulated_" : "";
  text += target->name;
  std::replace(text.begin(), text.end(), '-', '_');
  if (anyDim)
    return text + "_any";
  return text + "_" + std::to_string(dim) + "_" + std::to_string(valueDim);
}

std::vector<KernelShape> kernelShapes(const KernelTarget &target,
                                      bool emulated) {
  static constexpr std::pair<int, int> dims[] = {
      {64, 64}, {96, 96}, {128, 128}, {192, 192}, {192, 128}, {256, 256}};
  std::vector<KernelShape> shapes;
  for (auto [dim, valueDim] : dims)
    shapes.push_back({&target, dim, valueDim, /*anyDim=*/false, emulated});
  shapes.push_back({&target, kMaxDim, kMaxDim, /*anyDim=*/true, emulated});
  return shapes;
}

} // namespace flashcp::codegen

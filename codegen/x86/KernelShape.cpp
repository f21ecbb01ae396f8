// The blocking of each instruction set, held to what the kernels assume, and
// the list of kernels.

#include "codegen/x86/KernelShape.h"

#include <algorithm>
#include <numeric>

namespace flashcp::codegen::x86 {

// The blocking of each target. avx2 has 16 registers: 4 x 3 sums, 3 vectors and
// a broadcast take all of them; dims are not a multiple of 3 vectors, so
// gradients are summed as 6 x 2. avx512 has 32; 8 x 2 sums leave the panel
// small, which wastes less at a causal diagonal than a wide one.
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

// Returns whether a blocking leaves no loop of a kernel a rest.
static constexpr bool hasNoRest(const KernelTarget &target) {
  int step = kProductStep * target.elementsPerWord();
  int keys = std::lcm(target.group, target.gradientGroup);
  return kDimStep % step == 0                   // K Q^T, V dO^T
         && target.group % step == 0            // V^T P, dQ
         && target.lanes % step == 0            // dV, dK
         && kDimStep % target.group == 0        // O, dQ: groups of dims
         && kRunKeys % target.keyBlock == 0     // runs of whole blocks,
         && target.keyBlock % target.group == 0 // of whole groups
         && target.gradientKeyBlock % keys == 0 // blocks of whole groups
         && kBlockRows % target.panelRows() == 0;
}

// Returns whether lines are fetched in no more shares than there is memory for,
// one for each key of a run: backward, two for each group of keys of a panel.
static constexpr bool sharesFit(const KernelTarget &target) {
  int panels = kBlockRows / target.panelRows();
  int groups = target.gradientKeyBlock / target.group;
  return 2 * panels * groups <= kRunKeys;
}

static constexpr bool allOf(bool (*holds)(const KernelTarget &)) {
  for (const KernelTarget &target : targets)
    if (!holds(target))
      return false;
  return true;
}
static_assert(allOf(hasNoRest), "a kernel would read or sum past its range");
static_assert(allOf(sharesFit), "a kernel would fetch past its addresses");

llvm::ArrayRef<KernelTarget> kernelTargets() { return targets; }

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
  std::vector<KernelShape> shapes;
  for (auto [dim, valueDim] : kHeadDims)
    shapes.push_back({&target, dim, valueDim, /*anyDim=*/false, emulated});
  shapes.push_back({&target, kMaxDim, kMaxDim, /*anyDim=*/true, emulated});
  return shapes;
}

} // namespace flashcp::codegen::x86

// Which attention kernels exist for x86: instruction sets, head dimensions, and
// how each is blocked.
//
// A kernel works on a panel: `rowVectors` vectors of query rows, one row a
// lane. Scores and outputs are kept transposed, [key][row] and [dim][row], so
// that every product takes scalars of one matrix, broadcast, times vectors of
// another, and softmax needs no sum across lanes. A product keeps `group` x
// `rowVectors` accumulators in registers.

#ifndef FLASHCP_CODEGEN_X86_KERNELSHAPE_H_
#define FLASHCP_CODEGEN_X86_KERNELSHAPE_H_

#include "codegen/common/HeadDims.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace flashcp::codegen::x86 {

// An instruction set and the blocking that fits its registers.
struct KernelTarget {
  llvm::StringRef name;
  llvm::StringRef cpu;      // as LLVM names it
  llvm::StringRef features; // on top of the cpu's
  int lanes;                // f32 values of a vector
  int rowVectors;           // of a panel
  int group;    // keys or dims that are broadcast side by side, and packed
                // together
  int keyBlock; // keys between two updates of the running maximum
  int gradientKeyBlock; // keys of one call of the backward kernel
  int gradientGroup;    // keys whose dK, dV are summed side by side
  int gradientVectors;  // of dims, beside each other, in those sums
  bool scalesByPowers;  // has vreduceps and vscalefps, for 2^x
  bool pairs;           // multiplies pairs of bf16 (vdpbf16ps), sums in f32

  constexpr int panelRows() const { return lanes * rowVectors; }
  constexpr int chunk() const { return lanes * gradientVectors; }
  constexpr int elementsPerWord() const { return pairs ? 2 : 1; }
};

llvm::ArrayRef<KernelTarget> kernelTargets();

// One kernel of a target.
struct KernelShape {
  const KernelTarget *target;
  int dim;      // of Q and K; for anyDim the largest
  int valueDim; // of V and O; for anyDim the largest
  bool anyDim;  // dims are arguments, multiples of kDimStep
  // The instructions that only this target has are spelt out in others, so that
  // the kernel runs, slowly, on any x86-64-v3: tests use it if the CPU lacks
  // them.
  bool emulated;

  int dimWords() const { return dim / target->elementsPerWord(); }
  int valueDimWords() const { return valueDim / target->elementsPerWord(); }
  // For instance avx512_64_64, avx2_any, emulated_avx512_any.
  std::string name() const;
};

// All kernels of a target, the one for any dim last.
std::vector<KernelShape> kernelShapes(const KernelTarget &target,
                                      bool emulated);

// Sizes that all kernels share, and that their callers allocate by.
constexpr int kRunKeys = 256; // keys that are packed together at most, forward
constexpr int kBlockRows =
    96; // query rows of one call of the backward kernel, whole panels
constexpr int kBoundsPerPanel = 5;
constexpr int kMaxPairsAhead = 1280; // of lines, that a call fetches

// Words that a product sums in one iteration of its loop; more of them make
// the loop's own instructions a smaller share. Depths are multiples of it.
constexpr int kProductStep = 4;

} // namespace flashcp::codegen::x86

#endif // FLASHCP_CODEGEN_X86_KERNELSHAPE_H_

// Which attention kernels exist: instruction sets, head dimensions, and how
// each is blocked.
//
// A kernel works on a panel: `rowVectors` vectors of query rows, one row a
// lane. Scores and outputs are kept transposed, [key][row] and [dim][row], so
// that every product takes scalars of one matrix, broadcast, times vectors of
// another, and softmax needs no sum across lanes. A product keeps `group` x
// `rowVectors` accumulators in registers.

#ifndef FLASHCP_COMPILER_CODEGEN_KERNELSHAPE_H_
#define FLASHCP_COMPILER_CODEGEN_KERNELSHAPE_H_

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace flashcp::codegen {

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

// What one kernel is instantiated for.
struct KernelShape {
  const KernelTarget *target;
  int dim;      // of Q and K; for anyDim the largest
  int valueDim; // of V and O; for anyDim the largest
  bool anyDim;  // dims are arguments, multiples of kDimStep
  // The instructions that only this target has are spelt out in others, so that
  // the kernel runs, slowly, on any x86-64-v3: what tests use where the CPU
  // lacks them.
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
constexpr int kMaxDim = 256;
constexpr int kDimStep = 8;
constexpr int kRunKeys = 256; // keys that are packed together at most, forward
constexpr int kBlockRows =
    96; // query rows of one call of the backward kernel, whole panels
constexpr int kBoundsPerPanel = 5;
constexpr int kMaxLinesAhead =
    2304; // that a call of the forward kernel fetches

// How far a product goes in one iteration of its loop: each is less of the
// loop's own instructions. What it sums over is a multiple of that.
constexpr int kProductStep = 4; // words

} // namespace flashcp::codegen

#endif // FLASHCP_COMPILER_CODEGEN_KERNELSHAPE_H_

// The reference kernel: the obvious loop, for every specification, against which generated kernels
// are tested and which serves where none of them fits.

#ifndef FLASHCP_RUNTIME_CPU_REFERENCE_KERNEL_H_
#define FLASHCP_RUNTIME_CPU_REFERENCE_KERNEL_H_

#include <cstdint>

#include "runtime/kernels.h"

namespace flashcp {

// Computes tiles[0, count) in order, in f32; sums in one fixed order, so that results are the same
// bits in every run.
void ReferenceAttention(const KernelSpec& spec, const AttentionTile* tiles, int64_t count);
void ReferenceAttentionBackward(const KernelSpec& spec, const BackwardTile* tiles, int64_t count);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_REFERENCE_KERNEL_H_

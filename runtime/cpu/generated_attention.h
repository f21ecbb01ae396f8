// Launches of generated kernels: which worker computes which part of a table of tiles. No result
// depends on how many workers there are.

#ifndef FLASHCP_RUNTIME_CPU_GENERATED_ATTENTION_H_
#define FLASHCP_RUNTIME_CPU_GENERATED_ATTENTION_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/cpu/cpu_kernels.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"

namespace flashcp {

// Whether this CPU runs the kernel, and the kernel computes the specification.
bool RunsHere(const GeneratedKernel& kernel);
bool Fits(const GeneratedKernel& kernel, const KernelSpec& spec);

// The kernel of the target for the specification; null if there is none.
const GeneratedKernel* FindGeneratedKernel(const KernelSpec& spec, absl::string_view target);
// The kernel for the specification that this CPU runs fastest; null if there is none.
const GeneratedKernel* FindGeneratedKernel(const KernelSpec& spec);

// Bytes that one worker takes to compute with the kernel.
size_t ScratchBytes(const GeneratedKernel& kernel, const KernelSpec& spec);

// Launches of `kernel`, which fits. The pool is borrowed. ResourceExhausted without memory.
absl::StatusOr<std::unique_ptr<CpuKernels>> CreateGeneratedAttention(const GeneratedKernel& kernel,
                                                                     const KernelSpec& spec,
                                                                     WorkerPool* pool);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_GENERATED_ATTENTION_H_

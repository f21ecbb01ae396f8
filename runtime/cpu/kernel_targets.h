// Which targets of generated kernels a CPU runs, and which of them is its fastest: a table by
// vendor, so that equal CPUs choose alike in every run.

#ifndef FLASHCP_RUNTIME_CPU_KERNEL_TARGETS_H_
#define FLASHCP_RUNTIME_CPU_KERNEL_TARGETS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "runtime/kernels.h"

namespace flashcp {

// The features of a CPU by which kernels are chosen, as CPUID and the operating system give them.
struct CpuDescription {
  std::string vendor;        // as CPUID spells it: "GenuineIntel", "AuthenticAMD"
  bool avx2 = false;         // with FMA and F16C
  bool avx512 = false;       // F, BW, CD, DQ and VL
  bool avx512_bf16 = false;  // vdpbf16ps
};

const CpuDescription& ThisCpu();

// All targets, the narrowest instructions first.
absl::Span<const absl::string_view> KernelTargets();

// Whether the CPU has the instructions of the target, one of KernelTargets().
bool Runs(const CpuDescription& cpu, absl::string_view target);

// Whether kernels of the target take elements of this type.
bool Takes(absl::string_view target, model::DType element);

// The targets that the CPU runs and that take elements of this type, the fastest first.
std::vector<absl::string_view> FastestTargets(const CpuDescription& cpu, model::DType element);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_KERNEL_TARGETS_H_

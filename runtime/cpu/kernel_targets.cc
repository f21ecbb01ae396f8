// A table by CPU vendor and element: the fastest kernels, which are not always the widest.

#include "runtime/cpu/kernel_targets.h"

#include <cpuid.h>

#include <algorithm>
#include <cstring>

namespace flashcp {
namespace {

constexpr absl::string_view kTargets[] = {"avx2", "avx512", "avx512-bf16"};

// Vendors whose CPUs do more bf16 products a cycle with vdpbf16ps than f32 products with
// multiply-adds. Where that has not been measured the instruction stays unused: on Intel's Sapphire
// and Emerald Rapids it halves the speed, and weights rounded to bf16 buy nothing.
constexpr absl::string_view kFastPairs[] = {"AuthenticAMD"};  // Zen 4, the first with it, and on

std::string Vendor() {
  unsigned int leaf, words[3];  // the name is in EBX, EDX and ECX
  if (__get_cpuid(0, &leaf, &words[0], &words[2], &words[1]) == 0) return "";
  char name[sizeof(words)];
  std::memcpy(name, words, sizeof(words));
  return std::string(name, sizeof(name));
}

}  // namespace

const CpuDescription& ThisCpu() {
  static const CpuDescription& cpu = *new CpuDescription([] {
    CpuDescription cpu;
    cpu.vendor = Vendor();
    cpu.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
    cpu.avx512 = cpu.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    cpu.avx512_bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
    return cpu;
  }());
  return cpu;
}

absl::Span<const absl::string_view> KernelTargets() { return kTargets; }

bool Runs(const CpuDescription& cpu, absl::string_view target) {
  if (target == "avx2") return cpu.avx2;
  if (target == "avx512") return cpu.avx512;
  return target == "avx512-bf16" && cpu.avx512_bf16;
}

bool Takes(absl::string_view target, model::DType element) {
  return target != "avx512-bf16" || element == model::DType::kBF16;
}

std::vector<absl::string_view> FastestTargets(const CpuDescription& cpu, model::DType element) {
  std::vector<absl::string_view> targets;
  const bool pairs =
      std::find(std::begin(kFastPairs), std::end(kFastPairs), cpu.vendor) != std::end(kFastPairs);
  for (absl::string_view target :
       {pairs ? kTargets[2] : kTargets[1], pairs ? kTargets[1] : kTargets[2], kTargets[0]}) {
    if (Runs(cpu, target) && Takes(target, element)) targets.push_back(target);
  }
  return targets;
}

}  // namespace flashcp

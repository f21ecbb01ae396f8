// The host's CPU as a device: the calling thread computes, with others if it is told so.

#ifndef FLASHCP_RUNTIME_CPU_CPU_DEVICE_H_
#define FLASHCP_RUNTIME_CPU_CPU_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/device.h"
#include "runtime/kernels.h"

namespace flashcp {

struct CpuDeviceOptions {
  // Threads that compute attention, with the calling one. Results do not depend on it.
  int threads = 1;
  // "generated": those that this CPU runs fastest, the reference kernels if it runs none;
  // "reference": the reference kernels; or a target of generated kernels, such as "avx512".
  std::string kernels = "generated";
};

// The values of CpuDeviceOptions::kernels that run on this CPU.
std::vector<std::string> CpuKernelNames();

// The kernels that a CPU device finds for a specification.
struct CpuKernelsFound {
  std::string name;        // as AttentionKernels::name
  uint64_t scratch_bytes;  // that all threads together take, besides what is allocated
};

// Returns what CreateCpuDevice(options)->FindKernels(spec) finds, without threads or memory for it;
// its error for a specification or a name of kernels that it refuses.
absl::StatusOr<CpuKernelsFound> DescribeCpuKernels(const KernelSpec& spec,
                                                   const CpuDeviceOptions& options = {});

std::unique_ptr<Device> CreateCpuDevice(const CpuDeviceOptions& options = {});

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_CPU_DEVICE_H_

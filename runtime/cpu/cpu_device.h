// The host's CPU as a device: the calling thread computes, with others if it is told so.

#ifndef FLASHCP_RUNTIME_CPU_CPU_DEVICE_H_
#define FLASHCP_RUNTIME_CPU_CPU_DEVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.h"

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

std::unique_ptr<Device> CreateCpuDevice(const CpuDeviceOptions& options = {});

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_CPU_DEVICE_H_

// Where a rank's compute runs: memory for the workspace, kernels by specification, launches.

#ifndef FLASHCP_RUNTIME_DEVICE_H_
#define FLASHCP_RUNTIME_DEVICE_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/kernels.h"

namespace flashcp {

// Memory of a device; freed with the handle.
using DeviceMemory = std::unique_ptr<char, void (*)(char*)>;

// One Device object belongs to one rank and is used by one thread.
class Device {
 public:
  virtual ~Device() = default;

  // At least `bytes` bytes, aligned to 64. ResourceExhausted where there is no such memory.
  virtual absl::StatusOr<DeviceMemory> Allocate(size_t bytes) = 0;

  // The kernel for a specification. NotFound where the device has none.
  virtual absl::StatusOr<AttentionKernel> FindKernel(const KernelSpec& spec) = 0;

  // One launch over a table of tiles; done when the call returns.
  virtual absl::Status Attend(AttentionKernel kernel, const KernelSpec& spec,
                              absl::Span<const AttentionTile> tiles) = 0;
};

// The host's CPU: the calling thread computes.
std::unique_ptr<Device> CreateCpuDevice();

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_DEVICE_H_

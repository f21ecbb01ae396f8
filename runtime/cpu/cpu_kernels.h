// Attention kernels of the host's CPU: they compute tables of tiles at addresses, in the calling
// thread and in the worker threads of the device.

#ifndef FLASHCP_RUNTIME_CPU_CPU_KERNELS_H_
#define FLASHCP_RUNTIME_CPU_CPU_KERNELS_H_

#include "absl/types/span.h"
#include "runtime/device.h"
#include "runtime/kernels.h"

namespace flashcp {

class CpuKernels : public AttentionKernels {
 public:
  explicit CpuKernels(const KernelSpec& spec) : spec_(spec) {}

  absl::StatusOr<std::unique_ptr<DeviceTables>> Upload(LaunchTables tables) override;

  // Makes room for Forward over tables of these sizes, whatever the pointers are: it allocates
  // nothing then. Covers forward tables alone; Backward allocates nothing without it.
  virtual void Reserve(absl::Span<const AttentionTile> tiles) = 0;
  virtual void Forward(absl::Span<const AttentionTile> tiles) = 0;
  virtual void Backward(absl::Span<const BackwardTile> tiles) = 0;

 protected:
  const KernelSpec spec_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_CPU_KERNELS_H_

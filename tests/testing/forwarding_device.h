// A device that does what the CPU does: tests derive from it and change one thing.

#ifndef FLASHCP_TESTS_TESTING_FORWARDING_DEVICE_H_
#define FLASHCP_TESTS_TESTING_FORWARDING_DEVICE_H_

#include <memory>

#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"

namespace flashcp::testing {

class ForwardingDevice : public Device {
 public:
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override { return cpu_->Allocate(bytes); }
  absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) override {
    return cpu_->FindKernels(spec);
  }
  absl::Status Attend(AttentionKernels* kernels, absl::Span<const AttentionTile> tiles) override {
    return cpu_->Attend(kernels, tiles);
  }
  absl::Status AttendBackward(AttentionKernels* kernels,
                              absl::Span<const BackwardTile> tiles) override {
    return cpu_->AttendBackward(kernels, tiles);
  }
  absl::Status SumProducts(const KernelSpec& spec, const ProductRows& rows) override {
    return cpu_->SumProducts(spec, rows);
  }
  absl::Status Clear(absl::Span<const FloatRange> ranges) override { return cpu_->Clear(ranges); }
  absl::Status Round(model::DType element, absl::Span<const ConvertedRun> runs) override {
    return cpu_->Round(element, runs);
  }
  absl::Status Add(model::DType element, absl::Span<const ConvertedRun> runs) override {
    return cpu_->Add(element, runs);
  }

 private:
  const std::unique_ptr<Device> cpu_ = CreateCpuDevice();
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_FORWARDING_DEVICE_H_

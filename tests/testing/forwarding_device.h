// A device that does what the CPU does: tests derive from it and change one thing.

#ifndef FLASHCP_TESTS_TESTING_FORWARDING_DEVICE_H_
#define FLASHCP_TESTS_TESTING_FORWARDING_DEVICE_H_

#include <memory>
#include <utility>

#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "support/status_macros.h"

namespace flashcp::testing {

class ForwardingDevice : public Device {
 public:
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override { return cpu_->Allocate(bytes); }
  absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) override {
    ASSIGN_OR_RETURN(std::shared_ptr<AttentionKernels> kernels, cpu_->FindKernels(spec));
    return std::make_shared<Kernels>(this, std::move(kernels));
  }

 protected:
  // Called before each launch, which an error replaces.
  virtual absl::Status BeforeLaunch(const Launch&) { return absl::OkStatus(); }

  static bool IsAttend(const Launch& launch) {
    return launch.kind == Launch::Kind::kAttend || launch.kind == Launch::Kind::kAttendBackward;
  }

 private:
  struct Tables : DeviceTables {
    Tables(ForwardingDevice* device, std::unique_ptr<DeviceTables> base)
        : device(*device), base(std::move(base)) {}
    absl::Status Enqueue(const Launch& launch, BufferBases bases, Stream* stream) override {
      RETURN_IF_ERROR(device.BeforeLaunch(launch));
      return base->Enqueue(launch, bases, stream);
    }

    ForwardingDevice& device;
    const std::unique_ptr<DeviceTables> base;
  };

  struct Kernels : AttentionKernels {
    Kernels(ForwardingDevice* device, std::shared_ptr<AttentionKernels> base)
        : device(*device), base(std::move(base)) {}
    absl::string_view name() const override { return base->name(); }
    absl::StatusOr<std::unique_ptr<DeviceTables>> Upload(LaunchTables tables) override {
      ASSIGN_OR_RETURN(std::unique_ptr<DeviceTables> uploaded, base->Upload(std::move(tables)));
      return std::make_unique<Tables>(&device, std::move(uploaded));
    }

    ForwardingDevice& device;
    const std::shared_ptr<AttentionKernels> base;
  };

  const std::unique_ptr<Device> cpu_ = CreateCpuDevice();
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_FORWARDING_DEVICE_H_

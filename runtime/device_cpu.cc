// The CPU as a device: aligned heap memory, and the plain kernel for every specification.

#include <cstdlib>
#include <new>

#include "absl/strings/str_cat.h"
#include "runtime/device.h"

namespace flashcp {
namespace {

constexpr size_t kAlignment = 64;

class CpuDevice : public Device {
 public:
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override {
    size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded);
    if (memory == nullptr && bytes > 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the host has no ", bytes, " bytes of memory"));
    }
    return DeviceMemory(static_cast<char*>(memory), [](char* pointer) { std::free(pointer); });
  }

  absl::StatusOr<AttentionKernel> FindKernel(const KernelSpec& spec) override {
    if (spec.dim < 8 || spec.dim > 256 || spec.dim % 8 != 0) {
      return absl::NotFoundError(
          absl::StrCat("the cpu device has no kernel for heads of dimension ", spec.dim,
                       ": expected 8 to 256 in steps of 8"));
    }
    return &ReferenceAttention;
  }

  absl::Status Attend(AttentionKernel kernel, const KernelSpec& spec,
                      absl::Span<const AttentionTile> tiles) override {
    kernel(spec, tiles.data(), static_cast<int64_t>(tiles.size()));
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Device> CreateCpuDevice() { return std::make_unique<CpuDevice>(); }

}  // namespace flashcp

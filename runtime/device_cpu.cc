// The CPU as a device: aligned heap memory, and the plain kernel for every specification.

#include <algorithm>
#include <cstdlib>
#include <new>

#include "absl/strings/str_cat.h"
#include "runtime/device.h"
#include "runtime/numeric.h"

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

  absl::StatusOr<AttentionKernels> FindKernels(const KernelSpec& spec) override {
    if (spec.dim < 8 || spec.dim > 256 || spec.dim % 8 != 0) {
      return absl::NotFoundError(
          absl::StrCat("the cpu device has no kernel for heads of dimension ", spec.dim,
                       ": expected 8 to 256 in steps of 8"));
    }
    return AttentionKernels{&ReferenceAttention, &ReferenceAttentionBackward};
  }

  absl::Status Attend(AttentionKernel kernel, const KernelSpec& spec,
                      absl::Span<const AttentionTile> tiles) override {
    kernel(spec, tiles.data(), static_cast<int64_t>(tiles.size()));
    return absl::OkStatus();
  }

  absl::Status AttendBackward(BackwardKernel kernel, const KernelSpec& spec,
                              absl::Span<const BackwardTile> tiles) override {
    kernel(spec, tiles.data(), static_cast<int64_t>(tiles.size()));
    return absl::OkStatus();
  }

  absl::Status SumProducts(const KernelSpec& spec, const ProductRows& rows) override {
    WithElementType(spec.element, [&](auto element) {
      using Element = decltype(element);
      const Element* output = static_cast<const Element*>(rows.output);
      const Element* gradient = static_cast<const Element*>(rows.output_gradient);
      for (int64_t i = 0; i < rows.rows * spec.query_heads; ++i) {
        float sum = 0;
        for (int d = 0; d < spec.value_dim; ++d) sum += ToFloat(*output++) * ToFloat(*gradient++);
        rows.sums[i] = sum;
      }
    });
    return absl::OkStatus();
  }

  absl::Status Clear(absl::Span<const FloatRange> ranges) override {
    for (const FloatRange& range : ranges) std::fill_n(range.data, range.count, 0.0f);
    return absl::OkStatus();
  }

  absl::Status Round(ElementType element, absl::Span<const RowRun> runs) override {
    for (const RowRun& run : runs) {
      FloatsToElements(element, static_cast<const float*>(run.source), run.count, run.target);
    }
    return absl::OkStatus();
  }

  absl::Status Add(ElementType element, absl::Span<const RowRun> runs) override {
    WithElementType(element, [&](auto type) {
      for (const RowRun& run : runs) {
        const auto* source = static_cast<const decltype(type)*>(run.source);
        float* target = static_cast<float*>(run.target);
        for (int64_t i = 0; i < run.count; ++i) target[i] += ToFloat(source[i]);
      }
    });
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Device> CreateCpuDevice() { return std::make_unique<CpuDevice>(); }

}  // namespace flashcp

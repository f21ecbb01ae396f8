// The CPU as a device: aligned heap memory, and the generated kernel for a specification, or the
// plain one where none fits.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "absl/strings/str_cat.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/device.h"
#include "runtime/numeric.h"

namespace flashcp {
namespace {

constexpr size_t kAlignment = 64;

class ReferenceKernels : public AttentionKernels {
 public:
  explicit ReferenceKernels(const KernelSpec& spec) : spec_(spec) {}
  absl::string_view name() const override { return "reference"; }
  void Reserve(absl::Span<const AttentionTile>) override {}
  void Forward(absl::Span<const AttentionTile> tiles) override {
    ReferenceAttention(spec_, tiles.data(), static_cast<int64_t>(tiles.size()));
  }
  void Backward(absl::Span<const BackwardTile> tiles) override {
    ReferenceAttentionBackward(spec_, tiles.data(), static_cast<int64_t>(tiles.size()));
  }

 private:
  const KernelSpec spec_;
};

class CpuDevice : public Device {
 public:
  explicit CpuDevice(const CpuDeviceOptions& options)
      : reference_kernels_(options.reference_kernels), threads_(options.threads) {}

  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override {
    size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded);
    if (memory == nullptr && bytes > 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the host has no ", bytes, " bytes of memory"));
    }
    return DeviceMemory(static_cast<char*>(memory), [](char* pointer) { std::free(pointer); });
  }

  absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) override {
    for (int dim : {spec.dim, spec.value_dim}) {
      if (dim < kHeadDimStep || dim > kMaxHeadDim || dim % kHeadDimStep != 0) {
        return absl::NotFoundError(
            absl::StrCat("the cpu device has no kernel for heads of dimension ", dim, ": expected ",
                         kHeadDimStep, " to ", kMaxHeadDim, " in steps of ", kHeadDimStep));
      }
    }
    const GeneratedKernel* kernel = reference_kernels_ ? nullptr : FindGeneratedKernel(spec);
    if (kernel == nullptr) return std::make_shared<ReferenceKernels>(spec);
    if (pool_ == nullptr) pool_ = std::make_unique<WorkerPool>(threads_);
    if (pool_->size() < threads_) {
      return absl::ResourceExhaustedError(absl::StrCat("the host started ", pool_->size(), " of ",
                                                       threads_,
                                                       " threads that compute; ask for fewer"));
    }
    return CreateGeneratedAttention(*kernel, spec, pool_.get());
  }

  absl::Status Attend(AttentionKernels* kernels, absl::Span<const AttentionTile> tiles) override {
    kernels->Forward(tiles);
    return absl::OkStatus();
  }

  absl::Status AttendBackward(AttentionKernels* kernels,
                              absl::Span<const BackwardTile> tiles) override {
    kernels->Backward(tiles);
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

  absl::Status Round(ElementType element, absl::Span<const ConvertedRun> runs) override {
    for (const ConvertedRun& run : runs) {
      FloatsToElements(element, static_cast<const float*>(run.source), run.count, run.target);
    }
    return absl::OkStatus();
  }

  absl::Status Add(ElementType element, absl::Span<const ConvertedRun> runs) override {
    WithElementType(element, [&](auto type) {
      for (const ConvertedRun& run : runs) {
        const auto* source = static_cast<const decltype(type)*>(run.source);
        float* target = static_cast<float*>(run.target);
        for (int64_t i = 0; i < run.count; ++i) target[i] += ToFloat(source[i]);
      }
    });
    return absl::OkStatus();
  }

 private:
  const bool reference_kernels_;
  const int threads_;
  std::unique_ptr<WorkerPool> pool_;  // where generated kernels were found
};

}  // namespace

std::unique_ptr<Device> CreateCpuDevice(const CpuDeviceOptions& options) {
  return std::make_unique<CpuDevice>(options);
}

}  // namespace flashcp

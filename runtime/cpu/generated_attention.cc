// Looks kernels up in the table that the build has generated.

#include "runtime/cpu/generated_attention.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/cpu/backward_worker.h"
#include "runtime/cpu/forward_units.h"
#include "runtime/cpu/forward_worker.h"
#include "runtime/cpu/gradient_order.h"
#include "runtime/cpu/kernel_targets.h"
#include "runtime/cpu/scratch.h"

namespace flashcp {
namespace {

constexpr size_t kAlignment = 64;

class GeneratedAttention : public CpuKernels {
 public:
  GeneratedAttention(const GeneratedKernel& kernel, const KernelSpec& spec, WorkerPool* pool,
                     size_t worker_bytes, DeviceMemory memory)
      : CpuKernels(spec),
        kernel_(kernel),
        pool_(pool),
        memory_(std::move(memory)),
        units_(spec),
        order_(spec, pool->size()) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(memory_.get());
    char* const aligned = memory_.get() + (kAlignment - begin % kAlignment) % kAlignment;
    for (int worker = 0; worker < pool->size(); ++worker) {
      Scratch scratch(aligned + worker * worker_bytes);
      forward_.emplace_back(kernel_, spec, &scratch);
      backward_.emplace_back(kernel_, spec, worker, &scratch);
    }
  }

  absl::string_view name() const override { return kernel_.name; }

  void Reserve(absl::Span<const AttentionTile> tiles) override { units_.Reserve(tiles); }

  // A unit is computed by one worker, so its result does not depend on which, or on how many there
  // are. The largest go first, each to the worker that is free first.
  void Forward(absl::Span<const AttentionTile> tiles) override {
    const absl::Span<const ForwardUnit> units = units_.Cut(tiles);
    std::atomic<size_t> next{0};
    pool_->Run([&](int worker) {
      for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < units.size();) {
        const size_t following = next.load(std::memory_order_relaxed);  // most likely
        units_.ForEachPart(units[i], following < units.size() ? &units[following] : nullptr,
                           [&](const ForwardPart& part, const ForwardPart* next_part) {
                             forward_[worker].Compute(part, next_part);
                           });
      }
    });
  }

  // Parts go to the worker that is free first, in the order in which they add to the gradients.
  void Backward(absl::Span<const BackwardTile> tiles) override {
    order_.Start(tiles);
    pool_->Run([&](int worker) {
      for (BackwardPart part; order_.Take(worker, &part);) {
        backward_[worker].Compute(part, &order_);
      }
    });
  }

 private:
  const GeneratedKernel& kernel_;
  WorkerPool* const pool_;
  const DeviceMemory memory_;
  std::vector<ForwardWorker> forward_;
  std::vector<BackwardWorker> backward_;
  ForwardUnits units_;
  GradientOrder order_;
};

}  // namespace

bool RunsHere(const GeneratedKernel& kernel) {
  return Runs(ThisCpu(), kernel.emulated ? "avx2" : kernel.target);
}

bool Fits(const GeneratedKernel& kernel, const KernelSpec& spec) {
  if (!Takes(kernel.target, spec.element)) return false;
  if (kernel.any_dim) return spec.dim <= kernel.dim && spec.value_dim <= kernel.value_dim;
  return spec.dim == kernel.dim && spec.value_dim == kernel.value_dim;
}

const GeneratedKernel* FindGeneratedKernel(const KernelSpec& spec, absl::string_view target) {
  for (const GeneratedKernel& kernel : GeneratedKernels()) {
    if (kernel.target == target && Fits(kernel, spec)) return &kernel;
  }
  return nullptr;
}

const GeneratedKernel* FindGeneratedKernel(const KernelSpec& spec) {
  for (absl::string_view target : FastestTargets(ThisCpu(), spec.element)) {
    if (const GeneratedKernel* kernel = FindGeneratedKernel(spec, target)) return kernel;
  }
  return nullptr;
}

size_t ScratchBytes(const GeneratedKernel& kernel, const KernelSpec& spec) {
  Scratch measure(nullptr);
  ForwardWorker(kernel, spec, &measure);
  BackwardWorker(kernel, spec, 0, &measure);
  return measure.bytes();
}

absl::StatusOr<std::unique_ptr<CpuKernels>> CreateGeneratedAttention(const GeneratedKernel& kernel,
                                                                     const KernelSpec& spec,
                                                                     WorkerPool* pool) {
  const size_t worker_bytes = ScratchBytes(kernel, spec);
  // Zeroed by the host when a worker touches it: workers without work take none.
  const size_t bytes = worker_bytes * pool->size() + kAlignment;
  DeviceMemory owned(static_cast<char*>(std::calloc(bytes, 1)),
                     [](char* pointer) { std::free(pointer); });
  if (owned == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("the host has no ", bytes,
                                                     " bytes of memory for kernel ", kernel.name,
                                                     " on ", pool->size(), " threads"));
  }
  return std::make_unique<GeneratedAttention>(kernel, spec, pool, worker_bytes, std::move(owned));
}

}  // namespace flashcp

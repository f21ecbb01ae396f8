// The CPU device allocates aligned heap memory and chooses the generated kernel for a
// specification, or the reference kernel if none fits.

#include "runtime/cpu/cpu_device.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/cpu/cpu_kernels.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/kernel_targets.h"
#include "runtime/cpu/reference_kernel.h"
#include "runtime/cpu/worker_pool.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

constexpr size_t kAlignment = 64;
constexpr char kReference[] = "reference";

// The reference kernels. A K/V head, with the query heads that share it, is one worker's through
// the whole table, so that sums have the same order for every number of workers.
class ReferenceKernels : public CpuKernels {
 public:
  ReferenceKernels(const KernelSpec& spec, WorkerPool* pool) : CpuKernels(spec), pool_(pool) {}
  absl::string_view name() const override { return kReference; }
  void Reserve(absl::Span<const AttentionTile>) override {}
  void Forward(absl::Span<const AttentionTile> tiles) override {
    Spread(tiles, ReferenceAttention);
  }
  void Backward(absl::Span<const BackwardTile> tiles) override {
    Spread(tiles, ReferenceAttentionBackward);
  }

 private:
  template <typename Tile>
  void Spread(absl::Span<const Tile> tiles,
              void (*compute)(const KernelSpec&, const Tile*, int64_t)) {
    const int group = spec_.query_heads / spec_.key_value_heads;
    pool_->Run([&](int worker) {
      for (int head = worker; head < spec_.key_value_heads; head += pool_->size()) {
        for (Tile tile : tiles) {
          tile.head_begin = std::max(tile.head_begin, head * group);
          tile.head_end = std::min(tile.head_end, (head + 1) * group);
          compute(spec_, &tile, 1);
        }
      }
    });
  }

  WorkerPool* const pool_;
};

std::vector<std::string> NamesOf(absl::FunctionRef<bool(absl::string_view target)> include) {
  std::vector<std::string> names = {"generated", kReference};
  for (absl::string_view target : KernelTargets()) {
    if (include(target)) names.emplace_back(target);
  }
  return names;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// InvalidArgument if kernels of this name do not run here, or do not take such elements.
absl::Status CheckKernels(const std::string& name, model::DType element) {
  const std::vector<std::string> all = NamesOf([](absl::string_view) { return true; });
  if (!Contains(all, name)) {
    return absl::InvalidArgumentError(UnknownNameMessage("kind of kernels", name, all));
  }
  const std::vector<std::string> fit = NamesOf(
      [&](absl::string_view target) { return Runs(ThisCpu(), target) && Takes(target, element); });
  if (Contains(fit, name)) return absl::OkStatus();
  const std::string why = Takes(name, element)
                              ? absl::StrCat("this CPU lacks the instructions of ", name)
                              : absl::StrCat(name, " takes bf16 alone, not ", NameOf(element));
  return absl::InvalidArgumentError(
      absl::StrCat(why, ": expected one that can run here: ", absl::StrJoin(fit, ", ")));
}

// Returns the generated kernel for the specification, null for the reference kernels.
absl::StatusOr<const GeneratedKernel*> ChooseKernel(const KernelSpec& spec,
                                                    const std::string& kernels) {
  for (int dim : {spec.dim, spec.value_dim}) {
    if (dim < kHeadDimStep || dim > kMaxHeadDim || dim % kHeadDimStep != 0) {
      return absl::NotFoundError(
          absl::StrCat("the cpu device has no kernel for heads of dimension ", dim, ": expected ",
                       kHeadDimStep, " to ", kMaxHeadDim, " in steps of ", kHeadDimStep));
    }
  }
  RETURN_IF_ERROR(CheckKernels(kernels, spec.element));
  if (kernels == kReference) return nullptr;
  return kernels == "generated" ? FindGeneratedKernel(spec) : FindGeneratedKernel(spec, kernels);
}

class CpuDevice : public Device {
 public:
  explicit CpuDevice(const CpuDeviceOptions& options)
      : kernels_(options.kernels), threads_(options.threads) {}

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
    ASSIGN_OR_RETURN(const GeneratedKernel* kernel, ChooseKernel(spec, kernels_));
    if (pool_ == nullptr) pool_ = std::make_unique<WorkerPool>(threads_);
    if (pool_->size() < threads_) {
      return absl::ResourceExhaustedError(absl::StrCat("the host started ", pool_->size(), " of ",
                                                       threads_,
                                                       " threads that compute; ask for fewer"));
    }
    if (kernel == nullptr) return std::make_shared<ReferenceKernels>(spec, pool_.get());
    return CreateGeneratedAttention(*kernel, spec, pool_.get());
  }

 private:
  const std::string kernels_;
  const int threads_;
  std::unique_ptr<WorkerPool> pool_;  // where kernels were found
};

}  // namespace

std::vector<std::string> CpuKernelNames() {
  return NamesOf([](absl::string_view target) { return Runs(ThisCpu(), target); });
}

absl::StatusOr<CpuKernelsFound> DescribeCpuKernels(const KernelSpec& spec,
                                                   const CpuDeviceOptions& options) {
  ASSIGN_OR_RETURN(const GeneratedKernel* kernel, ChooseKernel(spec, options.kernels));
  if (kernel == nullptr) return CpuKernelsFound{kReference, 0};
  return CpuKernelsFound{kernel->name, options.threads * ScratchBytes(*kernel, spec)};
}

std::unique_ptr<Device> CreateCpuDevice(const CpuDeviceOptions& options) {
  return std::make_unique<CpuDevice>(options);
}

}  // namespace flashcp

#include "runtime/cpu/generated_attention.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/cpu/backward_worker.h"
#include "runtime/cpu/forward_worker.h"
#include "runtime/cpu/panels.h"
#include "runtime/cpu/scratch.h"

namespace flashcp {
namespace {

// What one worker computes without another's help.
struct ForwardUnit {
  const AttentionTile* tile;
  QueryRange queries;
  double work;  // about the pairs
};

// Calls use(queries) for the parts of a tile that share keys and fit a worker's memory, in order.
template <typename Tile, typename Use>
void ForEachUnit(const KernelSpec& spec, const Tile& tile, int key_value_head, const Use& use) {
  const int group = spec.query_heads / spec.key_value_heads;
  const int head_end = std::min(tile.head_end, (key_value_head + 1) * group);
  for (int head = std::max(tile.head_begin, key_value_head * group); head < head_end;) {
    const int heads = std::min(head_end - head, kUnitRows);
    const int64_t rows = kUnitRows / heads;
    for (int64_t row = 0; row < tile.query_count; row += rows) {
      use(QueryRange{row, std::min(row + rows, tile.query_count), head, head + heads});
    }
    head += heads;
  }
}

double WorkOf(const AttentionTile& tile, const QueryRange& queries) {
  double keys = 1;
  for (int64_t row : {queries.row_begin, queries.row_end - 1}) {
    const KeyRange visible = VisibleKeys(tile, row);
    keys += static_cast<double>(visible.end - visible.begin);
  }
  return keys * queries.rows();
}

class GeneratedAttention : public AttentionKernels {
 public:
  GeneratedAttention(const GeneratedKernel& kernel, const KernelSpec& spec, WorkerPool* pool,
                     size_t worker_bytes, DeviceMemory memory)
      : kernel_(kernel), spec_(spec), pool_(pool), memory_(std::move(memory)) {
    for (int worker = 0; worker < pool->size(); ++worker) {
      Scratch scratch(memory_.get() + worker * worker_bytes);
      forward_.emplace_back(kernel_, spec, &scratch);
      backward_.emplace_back(kernel_, spec, &scratch);
    }
  }

  absl::string_view name() const override { return kernel_.name; }

  void Reserve(absl::Span<const AttentionTile> tiles) override {
    CutUnits(tiles);  // the vector keeps its memory
  }

  // A unit is computed by one worker, so its result does not depend on which, or on how many there
  // are. The largest units go first, each to the worker that is free first.
  void Forward(absl::Span<const AttentionTile> tiles) override {
    // A tile may merge into rows of an earlier one of the table: those wait for each other.
    for (size_t begin = 0; begin < tiles.size();) {
      size_t end = begin + 1;
      while (end < tiles.size() && tiles[end].first) ++end;
      CutUnits(tiles.subspan(begin, end - begin));
      std::sort(units_.begin(), units_.end(),
                [](const ForwardUnit& a, const ForwardUnit& b) { return a.work > b.work; });
      std::atomic<size_t> next{0};
      pool_->Run([&](int worker) {
        for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < units_.size();) {
          forward_[worker].Compute(*units_[i].tile, units_[i].queries);
        }
      });
      begin = end;
    }
  }

  // Heads of keys and values have their gradients to themselves: each is one worker's, which goes
  // through the table in order.
  void Backward(absl::Span<const BackwardTile> tiles) override {
    std::atomic<int> next{0};
    pool_->Run([&](int worker) {
      for (int head;
           (head = next.fetch_add(1, std::memory_order_relaxed)) < spec_.key_value_heads;) {
        for (const BackwardTile& tile : tiles) {
          ForEachUnit(spec_, tile, head,
                      [&](const QueryRange& queries) { backward_[worker].Compute(tile, queries); });
        }
      }
    });
  }

 private:
  void CutUnits(absl::Span<const AttentionTile> tiles) {
    units_.clear();
    for (const AttentionTile& tile : tiles) {
      for (int head = 0; head < spec_.key_value_heads; ++head) {
        ForEachUnit(spec_, tile, head, [&](const QueryRange& queries) {
          units_.push_back({&tile, queries, WorkOf(tile, queries)});
        });
      }
    }
  }

  const GeneratedKernel& kernel_;
  const KernelSpec spec_;
  WorkerPool* const pool_;
  const DeviceMemory memory_;
  std::vector<ForwardWorker> forward_;
  std::vector<BackwardWorker> backward_;
  std::vector<ForwardUnit> units_;
};

}  // namespace

bool RunsHere(const GeneratedKernel& kernel) {
  const absl::string_view target = kernel.target;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (target == "avx2" || kernel.emulated) return avx2;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (target == "avx512") return avx512;
  return avx512 && __builtin_cpu_supports("avx512bf16");
}

bool Fits(const GeneratedKernel& kernel, const KernelSpec& spec) {
  if (kernel.pairs && spec.element != ElementType::kBF16) return false;
  if (kernel.any_dim) return spec.dim <= kernel.dim && spec.value_dim <= kernel.value_dim;
  return spec.dim == kernel.dim && spec.value_dim == kernel.value_dim;
}

const GeneratedKernel* FindGeneratedKernel(const KernelSpec& spec) {
  for (absl::string_view target : {"avx512-bf16", "avx512", "avx2"}) {
    for (const GeneratedKernel& kernel : GeneratedKernels()) {
      if (kernel.target == target && Fits(kernel, spec) && RunsHere(kernel)) return &kernel;
    }
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<AttentionKernels>> CreateGeneratedAttention(
    const GeneratedKernel& kernel, const KernelSpec& spec, WorkerPool* pool) {
  Scratch measure(nullptr);
  ForwardWorker(kernel, spec, &measure);
  BackwardWorker(kernel, spec, &measure);
  const size_t bytes = measure.bytes() * pool->size();
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the host has no ", bytes, " bytes of memory for kernel ", kernel.name));
  }
  std::memset(memory, 0, bytes);
  DeviceMemory owned(static_cast<char*>(memory), [](char* pointer) { std::free(pointer); });
  return std::make_unique<GeneratedAttention>(kernel, spec, pool, measure.bytes(),
                                              std::move(owned));
}

}  // namespace flashcp

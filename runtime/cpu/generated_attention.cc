#include "runtime/cpu/generated_attention.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/cpu/backward_worker.h"
#include "runtime/cpu/forward_worker.h"
#include "runtime/cpu/panels.h"
#include "runtime/cpu/scratch.h"
#include "runtime/cpu/tile_order.h"

namespace flashcp {
namespace {

// What one worker computes without another's help. `work` is about the pairs.
struct ForwardUnit {
  const AttentionTile* tile;
  QueryRange queries;
  int wave;
  double work;
};

// One head of keys and values of tiles that no others share gradients with: [begin, end) of the
// order of tiles.
struct BackwardUnit {
  int head;
  size_t begin;
  size_t end;
  double work;
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

template <typename Tile>
double WorkOf(const Tile& tile, const QueryRange& queries) {
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
  // are. The largest units go first, each to the worker that is free first. A tile that merges into
  // rows of an earlier one of the table waits for it, in a later wave.
  void Forward(absl::Span<const AttentionTile> tiles) override {
    CutUnits(tiles);
    for (size_t begin = 0; begin < units_.size();) {
      size_t end = begin + 1;
      while (end < units_.size() && units_[end].wave == units_[begin].wave) ++end;
      std::atomic<size_t> next{begin};
      pool_->Run([&](int worker) {
        for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < end;) {
          forward_[worker].Compute(*units_[i].tile, units_[i].queries);
        }
      });
      begin = end;
    }
  }

  // A unit has its gradients to itself: one worker goes through its tiles in the order of the
  // table.
  void Backward(absl::Span<const BackwardTile> tiles) override {
    CutBackwardUnits(tiles);
    std::atomic<size_t> next{0};
    pool_->Run([&](int worker) {
      for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < backward_units_.size();) {
        const BackwardUnit& unit = backward_units_[i];
        for (size_t j = unit.begin; j < unit.end; ++j) {
          const BackwardTile& tile = tiles[tile_order_[j]];
          ForEachUnit(spec_, tile, unit.head,
                      [&](const QueryRange& queries) { backward_[worker].Compute(tile, queries); });
        }
      }
    });
  }

 private:
  // By wave, then the largest first.
  void CutUnits(absl::Span<const AttentionTile> tiles) {
    const absl::Span<const int> waves = order_.Waves(spec_, tiles);
    units_.clear();
    for (size_t i = 0; i < tiles.size(); ++i) {
      for (int head = 0; head < spec_.key_value_heads; ++head) {
        ForEachUnit(spec_, tiles[i], head, [&](const QueryRange& queries) {
          units_.push_back({&tiles[i], queries, waves[i], WorkOf(tiles[i], queries)});
        });
      }
    }
    std::sort(units_.begin(), units_.end(), [](const ForwardUnit& a, const ForwardUnit& b) {
      return a.wave == b.wave ? a.work > b.work : a.wave < b.wave;
    });
  }

  // Tiles component by component, in the order of the table; units, the largest first.
  void CutBackwardUnits(absl::Span<const BackwardTile> tiles) {
    const absl::Span<const int> components = order_.Components(spec_, tiles);
    tile_order_.resize(tiles.size());
    std::iota(tile_order_.begin(), tile_order_.end(), 0);
    std::sort(tile_order_.begin(), tile_order_.end(), [&](int a, int b) {
      return components[a] == components[b] ? a < b : components[a] < components[b];
    });
    backward_units_.clear();
    for (size_t begin = 0; begin < tiles.size();) {
      size_t end = begin + 1;
      while (end < tiles.size() && components[tile_order_[end]] == components[tile_order_[begin]]) {
        ++end;
      }
      for (int head = 0; head < spec_.key_value_heads; ++head) {
        double work = 0;
        for (size_t j = begin; j < end; ++j) {
          const BackwardTile& tile = tiles[tile_order_[j]];
          ForEachUnit(spec_, tile, head,
                      [&](const QueryRange& queries) { work += WorkOf(tile, queries); });
        }
        if (work > 0) backward_units_.push_back({head, begin, end, work});
      }
      begin = end;
    }
    std::sort(backward_units_.begin(), backward_units_.end(),
              [](const BackwardUnit& a, const BackwardUnit& b) { return a.work > b.work; });
  }

  const GeneratedKernel& kernel_;
  const KernelSpec spec_;
  WorkerPool* const pool_;
  const DeviceMemory memory_;
  std::vector<ForwardWorker> forward_;
  std::vector<BackwardWorker> backward_;
  TileOrder order_;
  std::vector<ForwardUnit> units_;
  std::vector<int> tile_order_;
  std::vector<BackwardUnit> backward_units_;
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

// Items are made as launchers make them: a block of rows of one K/V head, or a block of keys.

#include "tests/codegen/nvptx/kernel_runner.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "runtime/numeric.h"
#include "support/status_macros.h"
#include "tests/codegen/nvptx/launch_memory.h"

namespace flashcp::testing {
namespace {

using codegen::nvptx::KernelInfo;

// Rows of queries or keys of a tile, and the limits of its band as the tables have them.
struct Limits {
  int32_t low;
  int32_t high;
};

template <typename Tile>
Limits LimitsOf(const Tile& tile) {
  constexpr int64_t kMost = int64_t{1} << 30;
  const int64_t shift = tile.query_position - tile.key_position;
  return {static_cast<int32_t>(std::clamp(shift + tile.band.lower, -kMost, kMost)),
          static_cast<int32_t>(std::clamp(shift + tile.band.upper + 1, -kMost, kMost))};
}

int64_t Blocks(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Calls `add(head_begin, head_end)` for the heads of a tile of each K/V head.
template <typename Add>
void ForEachHeadGroup(const KernelSpec& spec, int head_begin, int head_end, const Add& add) {
  const int group = spec.query_heads / spec.key_value_heads;
  for (int head = head_begin; head < head_end;) {
    const int end = std::min(head_end, (head / group + 1) * group);
    add(static_cast<uint16_t>(head), static_cast<uint16_t>(end));
    head = end;
  }
}

// Adds tensors of a tile to the memory of a launch.
template <typename Tile>
class TileTensors {
 public:
  TileTensors(const KernelSpec& spec, const Tile& tile, LaunchMemory* memory)
      : spec_(spec), tile_(tile), memory_(memory) {}

  // [query_count, query_row_heads, size bytes], and so on.
  gpu::BufferRow Queries(absl::string_view name, const void* rows, int64_t size) const {
    return memory_->Add(name, rows, tile_.query_count, tile_.query_row_heads * size,
                        spec_.query_heads * size);
  }
  gpu::BufferRow Keys(absl::string_view name, const void* rows, int64_t size) const {
    return memory_->Add(name, rows, tile_.key_count, tile_.key_row_heads * size,
                        spec_.key_value_heads * size);
  }
  gpu::BufferRow QuerySums(absl::string_view name, const void* rows, int64_t size) const {
    return memory_->Add(name, rows, tile_.query_count, spec_.query_heads * size,
                        spec_.query_heads * size);
  }
  gpu::BufferRow KeySums(absl::string_view name, const void* rows, int64_t size) const {
    return memory_->Add(name, rows, tile_.key_count, spec_.key_value_heads * size,
                        spec_.key_value_heads * size);
  }

 private:
  const KernelSpec& spec_;
  const Tile& tile_;
  LaunchMemory* memory_;
};

gpu::ForwardTile TableTile(const KernelSpec& spec, const AttentionTile& tile,
                           LaunchMemory* memory) {
  const TileTensors<AttentionTile> tensors(spec, tile, memory);
  const int64_t bytes = BytesPerElement(spec.element);
  gpu::ForwardTile entry = {};
  entry.query = tensors.Queries("query", tile.query, spec.dim * bytes);
  entry.key = tensors.Keys("key", tile.key, spec.dim * bytes);
  entry.value = tensors.Keys("value", tile.value, spec.value_dim * bytes);
  entry.output = tensors.Queries("output", tile.output, spec.value_dim * bytes);
  entry.lse = tensors.Queries("lse", tile.lse, 4);
  entry.accumulator = tensors.QuerySums("accumulator", tile.accumulator, spec.value_dim * 4);
  entry.query_count = static_cast<int32_t>(tile.query_count);
  entry.key_count = static_cast<int32_t>(tile.key_count);
  entry.low = LimitsOf(tile).low;
  entry.high = LimitsOf(tile).high;
  entry.flags =
      (tile.first ? gpu::ForwardTile::kFirst : 0) | (tile.last ? gpu::ForwardTile::kLast : 0);
  return entry;
}

// Adds the maps that kernels with TMA read a tile by.
template <typename Tile>
void AddMaps(const KernelSpec& spec, const KernelInfo& info, Tile* tile, LaunchMemory* memory) {
  const auto group = static_cast<uint32_t>(spec.query_heads / spec.key_value_heads);
  const LaunchMemory::Box queries = {group, info.blockRows / group};
  const LaunchMemory::Box keys = {1, static_cast<uint32_t>(info.keyBlock)};
  tile->query_map = memory->AddMap(tile->query, spec.element, spec.dim, spec.query_heads,
                                   tile->query_count, queries);
  tile->key_map = memory->AddMap(tile->key, spec.element, spec.dim, spec.key_value_heads,
                                 tile->key_count, keys);
  tile->value_map = memory->AddMap(tile->value, spec.element, spec.value_dim, spec.key_value_heads,
                                   tile->key_count, keys);
  if constexpr (std::is_same_v<Tile, gpu::BackwardTile>) {
    tile->output_gradient_map = memory->AddMap(tile->output_gradient, spec.element, spec.value_dim,
                                               spec.query_heads, tile->query_count, queries);
  }
}

// Splits tiles into chains of neighbours with the same rows.
std::vector<absl::Span<const AttentionTile>> Chains(absl::Span<const AttentionTile> tiles) {
  std::vector<absl::Span<const AttentionTile>> chains;
  size_t begin = 0;
  for (size_t end = 1; end <= tiles.size(); ++end) {
    if (end < tiles.size() && tiles[end].query == tiles[begin].query) continue;
    chains.push_back(tiles.subspan(begin, end - begin));
    begin = end;
  }
  return chains;
}

emulator::LaunchOptions OptionsOf(const KernelInfo& info, const GpuLaunch& launch) {
  emulator::LaunchOptions options;
  options.grid = {launch.ctas, 1, 1};
  options.block = {info.threads, 1, 1};
  options.dynamic_shared_bytes = info.sharedBytes;
  options.schedule = launch.schedule;
  options.schedule.resident_ctas = launch.ctas;
  options.races = launch.races;
  return options;
}

absl::Status LaunchForward(const GpuModule& module, const KernelSpec& spec, const GpuLaunch& launch,
                           absl::Span<const absl::Span<const AttentionTile>> chains) {
  const KernelInfo info = codegen::nvptx::forwardInfo(module.ShapeOf(spec.element));
  const int64_t tokens = info.blockRows / (spec.query_heads / spec.key_value_heads);
  LaunchMemory memory;
  std::vector<gpu::ForwardTile> tiles;
  std::vector<gpu::ForwardItem> items;
  for (absl::Span<const AttentionTile> chain : chains) {
    const AttentionTile& tile = chain.front();
    const auto begin = static_cast<uint32_t>(tiles.size());
    const auto end = static_cast<uint32_t>(begin + chain.size());
    for (const AttentionTile& next : chain) {
      tiles.push_back(TableTile(spec, next, &memory));
      if (module.IsHopper()) AddMaps(spec, info, &tiles.back(), &memory);
    }
    ForEachHeadGroup(spec, tile.head_begin, tile.head_end, [&](uint16_t first, uint16_t last) {
      for (int64_t token = 0; token < tile.query_count; token += tokens) {
        items.push_back({begin, end, static_cast<uint32_t>(token), first, last});
      }
    });
  }
  gpu::LaunchArguments arguments = {};
  arguments.tiles = memory.Table("tiles", tiles);
  arguments.items = memory.Table("items", items);
  arguments.item_count = static_cast<uint32_t>(items.size());
  ASSIGN_OR_RETURN(const emulator::Kernel* kernel, module.Find(info.symbol));
  return memory.Launch(*kernel, spec, arguments, /*counters=*/0, OptionsOf(info, launch));
}

gpu::BackwardTile TableTile(const KernelSpec& spec, const BackwardTile& tile,
                            LaunchMemory* memory) {
  const TileTensors<BackwardTile> tensors(spec, tile, memory);
  const int64_t bytes = BytesPerElement(spec.element);
  gpu::BackwardTile entry = {};
  entry.query = tensors.Queries("query", tile.query, spec.dim * bytes);
  entry.key = tensors.Keys("key", tile.key, spec.dim * bytes);
  entry.value = tensors.Keys("value", tile.value, spec.value_dim * bytes);
  entry.output_gradient =
      tensors.Queries("output gradient", tile.output_gradient, spec.value_dim * bytes);
  entry.lse = tensors.Queries("lse", tile.lse, 4);
  entry.delta = tensors.QuerySums("delta", tile.delta, 4);
  entry.query_gradient = tensors.QuerySums("query gradient", tile.query_gradient, spec.dim * 4);
  entry.key_gradient = tensors.KeySums("key gradient", tile.key_gradient, spec.dim * 4);
  entry.value_gradient = tensors.KeySums("value gradient", tile.value_gradient, spec.value_dim * 4);
  entry.query_count = static_cast<int32_t>(tile.query_count);
  entry.key_count = static_cast<int32_t>(tile.key_count);
  entry.low = LimitsOf(tile).low;
  entry.high = LimitsOf(tile).high;
  return entry;
}

// The table of a launch of the backward kernel, tile by tile, each a chain of its own.
struct BackwardTables {
  std::vector<gpu::BackwardTile> tiles;
  std::vector<gpu::BackwardItem> items;
  std::vector<gpu::Turn> turns;
  size_t counters = 0;

  // Adds the tile of `entry`, which has no turns yet, with an item for each K/V head and key block.
  void Add(const KernelSpec& spec, const BackwardTile& tile, gpu::BackwardTile entry,
           int64_t tokens, int64_t key_block) {
    entry.first_turn = static_cast<uint32_t>(turns.size());
    entry.first_counter = static_cast<uint32_t>(counters);
    const int64_t blocks = Blocks(tile.query_count, tokens);
    for (int64_t block = 0; block < blocks; ++block) {
      turns.push_back(
          {0, static_cast<uint32_t>(KeyBlocksSeen(entry, block * tokens, tokens, key_block))});
    }
    counters += blocks * spec.key_value_heads;
    const auto begin = static_cast<uint32_t>(tiles.size());
    tiles.push_back(entry);
    ForEachHeadGroup(spec, tile.head_begin, tile.head_end, [&](uint16_t first, uint16_t last) {
      for (int64_t key = 0; key < tile.key_count; key += key_block) {
        items.push_back({begin, begin + 1, static_cast<uint32_t>(key), first, last});
      }
    });
  }

  // Key blocks with a key that one of the tokens sees.
  static int64_t KeyBlocksSeen(const gpu::BackwardTile& tile, int64_t token, int64_t tokens,
                               int64_t key_block) {
    const int64_t last = std::min<int64_t>(token + tokens, tile.query_count) - 1;
    const int64_t begin = std::max<int64_t>(token + tile.low, 0);
    const int64_t end = std::min<int64_t>(last + tile.high, tile.key_count);
    return begin < end ? Blocks(end, key_block) - begin / key_block : 0;
  }
};

absl::Status LaunchBackward(const GpuModule& module, const KernelSpec& spec,
                            const GpuLaunch& launch, absl::Span<const BackwardTile> tiles) {
  const KernelInfo info = codegen::nvptx::backwardInfo(module.ShapeOf(spec.element));
  const int64_t tokens = info.blockRows / (spec.query_heads / spec.key_value_heads);
  LaunchMemory memory;
  BackwardTables tables;
  for (const BackwardTile& tile : tiles) {
    gpu::BackwardTile entry = TableTile(spec, tile, &memory);
    if (module.IsHopper()) AddMaps(spec, info, &entry, &memory);
    tables.Add(spec, tile, entry, tokens, info.keyBlock);
  }
  gpu::LaunchArguments arguments = {};
  arguments.tiles = memory.Table("tiles", tables.tiles);
  arguments.items = memory.Table("items", tables.items);
  arguments.turns = memory.Table("turns", tables.turns);
  arguments.item_count = static_cast<uint32_t>(tables.items.size());
  ASSIGN_OR_RETURN(const emulator::Kernel* kernel, module.Find(info.symbol));
  return memory.Launch(*kernel, spec, arguments, tables.counters, OptionsOf(info, launch));
}

}  // namespace

std::string GpuModule::PtxOf(absl::string_view target, int dim, int value_dim) {
  const std::string path =
      absl::StrCat("tests/codegen/nvptx/", target, "_", dim, "_", value_dim, ".ptx");
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

GpuModule::GpuModule(absl::string_view target, int dim, int value_dim, absl::string_view ptx)
    : dims_{dim, value_dim}, module_(emulator::Module::Load(ptx)) {
  for (const codegen::nvptx::GpuTarget& candidate : codegen::nvptx::gpuTargets()) {
    if (candidate.name == llvm::StringRef(target.data(), target.size())) target_ = &candidate;
  }
}

codegen::nvptx::AttentionShape GpuModule::ShapeOf(model::DType element) const {
  return {
      target_,
      element == model::DType::kBF16 ? codegen::nvptx::Element::bf16 : codegen::nvptx::Element::f16,
      dims_};
}

bool GpuModule::HasBackward() const {
  const auto shapes = codegen::nvptx::backwardShapes(*target_);
  return std::any_of(shapes.begin(), shapes.end(), [&](const auto& shape) {
    return shape.dims.dim == dims_.dim && shape.dims.valueDim == dims_.valueDim;
  });
}

absl::StatusOr<const emulator::Kernel*> GpuModule::Find(const std::string& symbol) const {
  if (!module_.ok()) return module_.status();
  return (*module_)->FindKernel(symbol);
}

void EmulatedGpuKernels::Update(const absl::Status& status) {
  status_.Update(status);
  if (!launch_.may_fail) {
    EXPECT_TRUE(status.ok()) << status;
  }
}

void EmulatedGpuKernels::Forward(absl::Span<const AttentionTile> tiles) {
  if (launch_.chains) {
    Update(LaunchForward(module_, spec_, launch_, Chains(tiles)));
    return;
  }
  for (size_t i = 0; i < tiles.size(); ++i) {
    const absl::Span<const AttentionTile> one = tiles.subspan(i, 1);
    Update(LaunchForward(module_, spec_, launch_, {one}));
  }
}

void EmulatedGpuKernels::Backward(absl::Span<const BackwardTile> tiles) {
  Update(LaunchBackward(module_, spec_, launch_, tiles));
}

}  // namespace flashcp::testing

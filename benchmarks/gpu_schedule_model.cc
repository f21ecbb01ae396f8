// Models how well the items of GPU launches fill the SMs of an H100; nothing is measured.
//
// CTAs, one an SM, take items in the order of the table. An item takes a fixed time and, for each
// block, the tensor cores' time for it (2048 multiply-adds a cycle and SM): memory, caches and
// clocks are ideal. Backward blocks end no sooner than the add to their block of dQ before them.
//
//   useful   pairs of the band, of those in the blocks that are computed: masks, tails, packing
//   busy     of the time of all SMs, the share in which blocks are computed: waves, turns, item
//   starts in all   useful * busy, of the tensor peak

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <numeric>
#include <queue>
#include <vector>

#include "benchmarks/distributions.h"
#include "model/band.h"
#include "runtime/cuda/launch_items.h"

namespace flashcp::gpu {
namespace {

constexpr double kMultiplyAdds = 2048;                       // of an SM in a cycle
constexpr double kForwardItem = 3500, kBackwardItem = 4000;  // cycles, besides blocks
constexpr int kSms = 132, kDim = 128;
// Blocks of the sm_90a kernels of head dim 128.
constexpr KernelInfo kForward = {"forward", 384, 0, 128, 128};
constexpr KernelInfo kBackward = {"backward", 384, 0, 64, 128};

struct Batch {
  const char* name;
  std::vector<int64_t> lengths;
  int query_heads;
  int key_value_heads;
};

KernelSpec SpecOf(const Batch& batch) {
  return {model::DType::kBF16, batch.query_heads, batch.key_value_heads, kDim, kDim, 0.088f};
}

// Documents of a batch one after another, causal, each one tile.
template <typename Entry>
std::vector<Entry> EntriesOf(const Batch& batch) {
  std::vector<Entry> entries;
  uint32_t row = 0;
  for (int64_t length : batch.lengths) {
    Entry entry = {};
    for (flashcp::BufferRow* first : {&entry.query, &entry.key, &entry.value, &entry.lse}) {
      *first = {0, row};
    }
    entry.query_count = entry.key_count = length;
    entry.band = {model::Band::kNoLower, 0};
    entry.head_end = batch.query_heads;
    entries.push_back(entry);
    row += length;
  }
  return entries;
}

double PairsOf(const Batch& batch) {
  double pairs = 0;
  for (int64_t length : batch.lengths) pairs += 0.5 * length * (length + 1) * batch.query_heads;
  return pairs;
}

// The time of CTAs that take items one after another, each as soon as it has ended one.
class Ctas {
 public:
  explicit Ctas(int count) {
    for (int i = 0; i < count; ++i) free_.push(0);
  }
  double Take() {
    const double time = free_.top();
    free_.pop();
    return time;
  }
  void End(double time) {
    free_.push(time);
    end_ = std::max(end_, time);
  }
  double end() const { return end_; }

 private:
  std::priority_queue<double, std::vector<double>, std::greater<double>> free_;
  double end_ = 0;
};

struct Result {
  size_t items;
  double blocks;      // computed
  double block_time;  // cycles of one
  double end;         // cycles
};

Result RunForward(const Batch& batch, int ctas) {
  const KernelSpec spec = SpecOf(batch);
  const int tokens = kForward.block_rows / (batch.query_heads / batch.key_value_heads);
  const ForwardWork work = BuildForward(spec, kForward, EntriesOf<ForwardEntry>(batch), nullptr);
  const double block_time = 2.0 * kForward.block_rows * kForward.key_block * kDim / kMultiplyAdds;
  Ctas queue(ctas);
  double blocks = 0;
  for (const ForwardItem& item : work.items) {
    const ForwardTile& tile = work.tiles[item.tile_begin];
    const int last = std::min<int>(item.token + tokens, tile.query_count) - 1;
    const int keys = std::min(last + tile.high, tile.key_count);
    const int item_blocks = (keys + kForward.key_block - 1) / kForward.key_block;
    blocks += item_blocks;
    queue.End(queue.Take() + kForwardItem + item_blocks * block_time);
  }
  return {work.items.size(), blocks, block_time, queue.end()};
}

Result RunBackward(const Batch& batch, int ctas, bool turns) {
  const KernelSpec spec = SpecOf(batch);
  const int tokens = kBackward.block_rows / (batch.query_heads / batch.key_value_heads);
  std::vector<BackwardEntry> entries = EntriesOf<BackwardEntry>(batch);
  for (BackwardEntry& entry : entries) {
    entry.query_gradient = entry.key_gradient = entry.value_gradient = entry.query;
  }
  const BackwardWork work = BuildBackward(spec, kBackward, entries, nullptr).at(0);
  const double block_time = 5.0 * kBackward.block_rows * kBackward.key_block * kDim / kMultiplyAdds;
  Ctas queue(ctas);
  double blocks = 0;
  std::vector<double> added(work.counters);  // when the last add to each block of dQ ended
  for (const BackwardItem& item : work.items) {
    double time = queue.Take() + kBackwardItem;
    const BackwardTile& tile = work.tiles[item.tile_begin];
    const int num_blocks = (tile.query_count + tokens - 1) / tokens;
    const int head = item.head_begin / (batch.query_heads / batch.key_value_heads);
    const int first = std::max<int>(item.key - tile.high + 1, 0) / tokens;
    for (int block = first; block < num_blocks; ++block) {
      double& last = added[tile.first_counter + head * num_blocks + block];
      time = std::max(time + block_time, turns ? last : 0);
      last = time;
      ++blocks;
    }
    queue.End(time);
  }
  return {work.items.size(), blocks, block_time, queue.end()};
}

void Print(const Batch& batch, const char* pass, const KernelInfo& kernel, int ctas,
           const Result& result) {
  const double useful = PairsOf(batch) / (result.blocks * kernel.block_rows * kernel.key_block);
  const double busy = result.blocks * result.block_time / (result.end * ctas);
  std::printf("%-24s %3d:%-2d %-17s %4d %7zu %7.1f%% %6.1f%% %7.1f%%\n", batch.name,
              batch.query_heads, batch.key_value_heads, pass, ctas, result.items, 100 * useful,
              100 * busy, 100 * useful * busy * ctas / kSms);
}

std::vector<int64_t> Drawn(const char* distribution, int64_t tokens) {
  return benchmarks::MakeDistribution(distribution)->Sequence(tokens, 8, 0);
}

void Run() {
  std::printf("Modelled, H100 of %d SMs, head dim %d, causal. 'in all' is of all SMs' peak.\n",
              kSms, kDim);
  std::printf("%-24s %6s %-17s %4s %7s %8s %7s %8s\n", "batch", "heads", "pass", "SMs", "items",
              "useful", "busy", "in all");
  const Batch batches[] = {
      {"1 x 8K", {8192}, 32, 8},
      {"1 x 32K", {32768}, 32, 8},
      {"2 x 16K", {16384, 16384}, 16, 16},
      {"16 x 2K", std::vector<int64_t>(16, 2048), 32, 8},
      {"64 x 512", std::vector<int64_t>(64, 512), 32, 8},
      {"32K lognormal", Drawn("lognormal", 32768), 32, 8},
      {"32K short", Drawn("short", 32768), 32, 8},
      {"32K short, no GQA", Drawn("short", 32768), 32, 32},
  };
  for (const Batch& batch : batches) {
    for (int ctas : {kSms, kSms - 16}) {
      Print(batch, "forward", kForward, ctas, RunForward(batch, ctas));
    }
    Print(batch, "backward", kBackward, kSms, RunBackward(batch, kSms, /*turns=*/true));
    Print(batch, "backward, no turns", kBackward, kSms, RunBackward(batch, kSms, false));
  }
}

}  // namespace
}  // namespace flashcp::gpu

int main() { flashcp::gpu::Run(); }

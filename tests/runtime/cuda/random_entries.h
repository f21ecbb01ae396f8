// Random tables of tiles whose rows and heads overlap in every way, small enough for brute force.

#ifndef FLASHCP_TESTS_RUNTIME_CUDA_RANDOM_ENTRIES_H_
#define FLASHCP_TESTS_RUNTIME_CUDA_RANDOM_ENTRIES_H_

#include <random>
#include <utility>
#include <vector>

#include "runtime/cuda/kernel_info.h"
#include "runtime/kernels.h"
#include "runtime/launch_tables.h"

namespace flashcp::gpu {

// The buffers of tables; rows of other tensors have the numbers of these, plus an offset.
enum TestBuffer : uint32_t { kQueries, kKeys, kValues, kOutputs, kLse, kAccumulators, kDelta };
inline constexpr uint32_t kOutputOffset = 100, kAccumulatorOffset = 200, kValueOffset = 300;

class RandomEntries {
 public:
  explicit RandomEntries(int seed) : random_(seed) {}

  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  KernelSpec Spec() {
    const int key_heads = Draw(1, 3), group = Draw(1, 4);
    return {model::DType::kBF16, key_heads * group, key_heads, 64, 128, 0.125f};
  }

  KernelInfo Kernel() { return {"test", 128, 0, Draw(4, 12), Draw(2, 7)}; }

  std::vector<ForwardEntry> Forward(const KernelSpec& spec) {
    std::vector<ForwardEntry> entries(Draw(1, 6));
    for (ForwardEntry& entry : entries) {
      SetShape(spec, &entry);
      const uint32_t row = entry.query.row;
      entry.output = {kOutputs, row + kOutputOffset};
      entry.lse = {kLse, row};
      entry.accumulator = {kAccumulators, row + kAccumulatorOffset};
      entry.first = Draw(0, 1) == 1;
      entry.last = Draw(0, 1) == 1;
    }
    return entries;
  }

  std::vector<BackwardEntry> Backward(const KernelSpec& spec) {
    std::vector<BackwardEntry> entries(Draw(1, 6));
    for (BackwardEntry& entry : entries) {
      SetShape(spec, &entry);
      const uint32_t row = entry.query.row, key = entry.key.row;
      entry.output_gradient = {kOutputs, row + kOutputOffset};
      entry.lse = {kLse, row};
      entry.delta = {kDelta, row};
      entry.query_gradient = {kQueries, row};
      entry.key_gradient = {kKeys, key};
      entry.value_gradient = {kValues, key + kValueOffset};
    }
    return entries;
  }

 private:
  // Draws queries and keys, a band and heads. Ranges begin at few places, so that many are equal.
  template <typename Entry>
  void SetShape(const KernelSpec& spec, Entry* entry) {
    const uint32_t row = 5 * Draw(0, 3), key = 6 * Draw(0, 3);
    entry->query = {kQueries, row};
    entry->key = {kKeys, key};
    entry->value = {kValues, key + kValueOffset};
    entry->query_count = Draw(0, 2) == 0 ? Draw(0, 20) : 10;
    entry->key_count = Draw(0, 2) == 0 ? Draw(0, 25) : 12;
    entry->query_position = Draw(0, 30);
    entry->key_position = Draw(0, 30);
    entry->band = {Draw(0, 1) == 0 ? model::Band::kNoLower : Draw(-30, 5),
                   Draw(0, 2) == 0 ? model::Band::kNoUpper : Draw(5, 10)};
    if (Draw(0, 1) == 0) entry->band.upper = 5;
    const bool all = Draw(0, 1) == 0;
    entry->head_begin = all ? 0 : Draw(0, spec.query_heads - 1);
    entry->head_end = all ? spec.query_heads : Draw(entry->head_begin + 1, spec.query_heads);
  }

  std::mt19937 random_;
};

// Returns whether a row of an entry sees one of its keys.
template <typename Entry>
bool Sees(const Entry& entry, int64_t row, int64_t key) {
  const int64_t distance = entry.key_position + key - (entry.query_position + row);
  return entry.band.lower <= distance && distance <= entry.band.upper;
}

}  // namespace flashcp::gpu

#endif  // FLASHCP_TESTS_RUNTIME_CUDA_RANDOM_ENTRIES_H_

// Items of the backward pass against brute force on random tables, and executed by any number of
// blocks of threads.

#include <map>
#include <set>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cuda/launch_items.h"
#include "tests/runtime/cuda/random_entries.h"

namespace flashcp::gpu {
namespace {

// Query row, query head, key row.
using Pair = std::tuple<uint32_t, int, uint32_t>;

// One add of an item to a block of dQ.
struct Add {
  uint32_t counter;
  uint32_t turn;
  uint32_t count;
  std::pair<uint32_t, int> first;  // query row and head
};

class BackwardItemsTest : public testing::TestWithParam<int> {
 protected:
  BackwardItemsTest()
      : random_(GetParam()),
        spec_(random_.Spec()),
        kernel_(random_.Kernel()),
        entries_(random_.Backward(spec_)),
        group_(spec_.query_heads / spec_.key_value_heads),
        tokens_(kernel_.block_rows / group_),
        works_(BuildBackward(spec_, kernel_, entries_, /*maps=*/nullptr)) {}

  // Calls use(token, key) for the pairs of a tile that an item computes.
  template <typename Use>
  void ForEachPair(const BackwardItem& item, const BackwardTile& tile, const Use& use) const {
    const int key_end = std::min<int>(item.key + kernel_.key_block, tile.key_count);
    for (int token = 0; token < tile.query_count; ++token) {
      for (int key = item.key; key < key_end; ++key) {
        if (token + tile.low <= key && key < token + tile.high) use(token, key);
      }
    }
  }

  // Returns the adds of an item in its order, with turns by the ABI's formula.
  std::vector<Add> AddsOf(const BackwardWork& work, const BackwardItem& item) const {
    std::vector<Add> adds;
    for (uint32_t t = item.tile_begin; t < item.tile_end; ++t) {
      const BackwardTile& tile = work.tiles[t];
      std::set<int> blocks;
      ForEachPair(item, tile, [&](int token, int) { blocks.insert(token / tokens_); });
      const int num_blocks = (tile.query_count + tokens_ - 1) / tokens_;
      const int head = item.head_begin / group_;
      for (int block : blocks) {
        const Turn& turn = work.turns[tile.first_turn + block];
        const int first_seen = std::max(block * tokens_ + tile.low, 0) / kernel_.key_block;
        adds.push_back({tile.first_counter + head * num_blocks + block,
                        turn.before + item.key / kernel_.key_block - first_seen,
                        turn.count,
                        {tile.query_gradient.row + block * tokens_, item.head_begin}});
      }
    }
    return adds;
  }

  RandomEntries random_;
  const KernelSpec spec_;
  const KernelInfo kernel_;
  const std::vector<BackwardEntry> entries_;
  const int group_;
  const int tokens_;  // of a block of queries
  const std::vector<BackwardWork> works_;
};

TEST_P(BackwardItemsTest, EveryPairIsComputedAsOftenAsTheTableSays) {
  std::map<Pair, int> expected, computed;
  for (const BackwardEntry& entry : entries_) {
    for (int row = 0; row < entry.query_count; ++row) {
      for (int key = 0; key < entry.key_count; ++key) {
        for (int head = entry.head_begin; head < entry.head_end; ++head) {
          if (Sees(entry, row, key)) ++expected[{entry.query.row + row, head, entry.key.row + key}];
        }
      }
    }
  }
  for (const BackwardWork& work : works_) {
    for (const BackwardItem& item : work.items) {
      for (uint32_t t = item.tile_begin; t < item.tile_end; ++t) {
        const BackwardTile& tile = work.tiles[t];
        ASSERT_EQ(tile.key_gradient.row, tile.key.row);
        ASSERT_EQ(tile.value_gradient.row, tile.key.row + kValueOffset);
        ASSERT_EQ(tile.output_gradient.row, tile.query.row + kOutputOffset);
        ForEachPair(item, tile, [&](int token, int key) {
          for (int head = item.head_begin; head < item.head_end; ++head) {
            ++computed[{tile.query.row + token, head, tile.key.row + key}];
          }
        });
      }
    }
  }
  EXPECT_TRUE(computed == expected);
}

TEST_P(BackwardItemsTest, KeysAreInOneItemOfALaunch) {
  for (const BackwardWork& work : works_) {
    std::set<std::pair<uint32_t, int>> seen;  // key row and K/V head
    for (const BackwardItem& item : work.items) {
      const BackwardTile& front = work.tiles[item.tile_begin];
      ASSERT_EQ(item.head_begin / group_, (item.head_end - 1) / group_);
      ASSERT_EQ(item.key % kernel_.key_block, 0u);
      const int end = std::min<int>(item.key + kernel_.key_block, front.key_count);
      for (int key = item.key; key < end; ++key) {
        EXPECT_TRUE(seen.insert({front.key.row + key, item.head_begin / group_}).second);
      }
      for (uint32_t t = item.tile_begin; t < item.tile_end; ++t) {
        EXPECT_EQ(work.tiles[t].key.row, front.key.row);
        EXPECT_EQ(work.tiles[t].key_count, front.key_count);
      }
    }
  }
}

TEST_P(BackwardItemsTest, TurnsCountTheItemsBefore) {
  for (const BackwardWork& work : works_) {
    std::map<uint32_t, uint32_t> added;                       // by counter
    std::map<uint32_t, std::pair<uint32_t, int>> block_of;    // likewise
    std::map<std::pair<uint32_t, int>, uint32_t> counter_of;  // by query row and head
    std::vector<Add> all;
    for (const BackwardItem& item : work.items) {
      for (const Add& add : AddsOf(work, item)) {
        ASSERT_LT(add.counter, work.counters);
        EXPECT_EQ(add.turn, added[add.counter]++);
        EXPECT_EQ(block_of.insert({add.counter, add.first}).first->second, add.first);
        EXPECT_EQ(counter_of.insert({add.first, add.counter}).first->second, add.counter);
        all.push_back(add);
      }
    }
    for (const Add& add : all) EXPECT_EQ(add.count, added[add.counter]);
  }
}

// A block of threads that computes an item.
struct Worker {
  std::vector<Add> adds;
  size_t next = 0;
};

TEST_P(BackwardItemsTest, AnyNumberOfBlocksEndsWithCountersAtZero) {
  for (const BackwardWork& work : works_) {
    for (int num_workers : {1, 2, 3, 7, 20}) {
      std::vector<uint32_t> counters(work.counters);
      std::vector<Worker> workers(num_workers);
      size_t taken = 0, steps_left = 100000;
      auto is_done = [&](const Worker& worker) {
        return worker.next == worker.adds.size() && taken == work.items.size();
      };
      auto step = [&](Worker* worker) {
        if (worker->next == worker->adds.size()) {
          *worker = {AddsOf(work, work.items[taken++])};
        }
        const Add& add = worker->adds[worker->next];
        if (counters[add.counter] != add.turn) return;
        counters[add.counter] = add.turn + 1 == add.count ? 0 : add.turn + 1;
        ++worker->next;
      };
      while (!std::all_of(workers.begin(), workers.end(), is_done)) {
        Worker& worker = workers[random_.Draw(0, num_workers - 1)];
        if (!is_done(worker)) step(&worker);
        ASSERT_GT(--steps_left, 0u) << "deadlock of " << num_workers << " blocks";
      }
      EXPECT_THAT(counters, testing::Each(0u));
    }
  }
}

TEST(BackwardOrderTest, ThreadsWithTheMostWorkGoFirst) {
  // Two documents, of 32 and of 8 keys, and two heads.
  const KernelSpec spec = {model::DType::kBF16, 2, 2, 64, 64, 1.0f};
  const KernelInfo kernel = {"test", 128, 0, 8, 8};
  std::vector<BackwardEntry> entries(2);
  for (int i = 0; i < 2; ++i) {
    BackwardEntry& entry = entries[i];
    entry = {};
    const uint32_t row = i * 100;
    entry.query_gradient = {0, row};
    entry.key_gradient = {1, row};
    entry.query_count = entry.key_count = i == 0 ? 8 : 32;
    entry.band = {model::Band::kNoLower, model::Band::kNoUpper};
    entry.head_end = 2;
  }
  const std::vector<BackwardWork> works = BuildBackward(spec, kernel, entries, nullptr);
  ASSERT_EQ(works.size(), 1u);
  std::vector<std::tuple<int, int, int>> order;  // keys of the tile, key, head
  for (const BackwardItem& item : works[0].items) {
    order.push_back({works[0].tiles[item.tile_begin].key_count, item.key, item.head_begin});
  }
  using T = std::tuple<int, int, int>;
  EXPECT_THAT(order, testing::ElementsAre(T(32, 0, 0), T(32, 0, 1), T(32, 8, 0), T(32, 8, 1),
                                          T(32, 16, 0), T(32, 16, 1), T(32, 24, 0), T(32, 24, 1),
                                          T(8, 0, 0), T(8, 0, 1)));
}

INSTANTIATE_TEST_SUITE_P(Seeds, BackwardItemsTest, testing::Range(0, 200));

}  // namespace
}  // namespace flashcp::gpu

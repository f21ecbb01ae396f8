// Items of the forward pass against brute force on random tables.

#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cuda/launch_items.h"
#include "tests/runtime/cuda/random_entries.h"

namespace flashcp::gpu {
namespace {

using RowAndHead = std::pair<uint32_t, int>;

// What happens to one query row and head: the keys it sees, in order, and whether the result is the
// first and the last one.
struct RowWork {
  std::vector<uint32_t> keys;
  bool first = false;
  bool last = false;

  friend bool operator==(const RowWork& a, const RowWork& b) {
    return a.keys == b.keys && a.first == b.first && a.last == b.last;
  }
};

std::map<RowAndHead, RowWork> Expected(absl::Span<const ForwardEntry> entries) {
  std::map<RowAndHead, RowWork> rows;
  for (const ForwardEntry& entry : entries) {
    for (int64_t row = 0; row < entry.query_count; ++row) {
      for (int head = entry.head_begin; head < entry.head_end; ++head) {
        auto [found, is_new] = rows.try_emplace({entry.lse.row + row, head});
        RowWork& work = found->second;
        if (is_new) work.first = entry.first;
        work.last = entry.last;
        for (int64_t key = 0; key < entry.key_count; ++key) {
          if (Sees(entry, row, key)) work.keys.push_back(entry.key.row + key);
        }
      }
    }
  }
  for (auto i = rows.begin(); i != rows.end();) {
    const RowWork& work = i->second;
    i = work.keys.empty() && !work.first && !work.last ? rows.erase(i) : std::next(i);
  }
  return rows;
}

// Returns the keys that a token of a tile sees.
std::vector<uint32_t> KeysOf(const ForwardTile& tile, int token) {
  std::vector<uint32_t> keys;
  for (int key = 0; key < tile.key_count; ++key) {
    if (token + tile.low <= key && key < token + tile.high) keys.push_back(tile.key.row + key);
  }
  return keys;
}

class ForwardItemsTest : public testing::TestWithParam<int> {
 protected:
  ForwardItemsTest()
      : random_(GetParam()),
        spec_(random_.Spec()),
        kernel_(random_.Kernel()),
        entries_(random_.Forward(spec_)),
        group_(spec_.query_heads / spec_.key_value_heads),
        work_(BuildForward(spec_, kernel_, entries_, &maps_)) {}

  int LastToken(const ForwardItem& item) const {
    return std::min<int>(item.token + kernel_.block_rows / group_,
                         work_.tiles[item.tile_begin].query_count);
  }

  RandomEntries random_;
  const KernelSpec spec_;
  const KernelInfo kernel_;
  const std::vector<ForwardEntry> entries_;
  const int group_;
  TensorMaps maps_;
  const ForwardWork work_;
};

TEST_P(ForwardItemsTest, EveryRowAndHeadIsInOneItemWithItsKeysInOrder) {
  std::map<RowAndHead, RowWork> rows;
  for (const ForwardItem& item : work_.items) {
    const ForwardTile& front = work_.tiles[item.tile_begin];
    ASSERT_EQ(item.head_begin / group_, (item.head_end - 1) / group_);
    for (int token = item.token; token < LastToken(item); ++token) {
      for (int head = item.head_begin; head < item.head_end; ++head) {
        auto [found, is_new] = rows.try_emplace({front.lse.row + token, head});
        ASSERT_TRUE(is_new) << "row " << front.lse.row + token << ", head " << head;
        RowWork& work = found->second;
        work.first = (front.flags & ForwardTile::kFirst) != 0;
        work.last = (work_.tiles[item.tile_end - 1].flags & ForwardTile::kLast) != 0;
        for (uint32_t t = item.tile_begin; t < item.tile_end; ++t) {
          const std::vector<uint32_t> keys = KeysOf(work_.tiles[t], token);
          work.keys.insert(work.keys.end(), keys.begin(), keys.end());
        }
      }
    }
  }
  for (auto i = rows.begin(); i != rows.end();) {  // rows beside those that have work
    const RowWork& work = i->second;
    i = work.keys.empty() && !work.first && !work.last ? rows.erase(i) : std::next(i);
  }
  EXPECT_TRUE(rows == Expected(entries_));
}

TEST_P(ForwardItemsTest, TilesOfAChainHaveTheSameRows) {
  for (const ForwardItem& item : work_.items) {
    const ForwardTile& front = work_.tiles[item.tile_begin];
    for (uint32_t t = item.tile_begin; t < item.tile_end; ++t) {
      const ForwardTile& tile = work_.tiles[t];
      EXPECT_EQ(tile.lse.row, front.lse.row);
      EXPECT_EQ(tile.query_count, front.query_count);
      EXPECT_EQ(tile.query.row, tile.lse.row);
      EXPECT_EQ(tile.output.row, tile.lse.row + kOutputOffset);
      EXPECT_EQ(tile.accumulator.row, tile.lse.row + kAccumulatorOffset);
      EXPECT_EQ(tile.value.row, tile.key.row + kValueOffset);
    }
  }
}

TEST_P(ForwardItemsTest, TheLongestComeFirst) {
  auto key_blocks = [&](const ForwardItem& item) {
    int count = 0;
    for (uint32_t t = item.tile_begin; t < item.tile_end; ++t) {
      std::set<uint32_t> blocks;
      for (int token = item.token; token < LastToken(item); ++token) {
        for (uint32_t key : KeysOf(work_.tiles[t], token)) {
          blocks.insert((key - work_.tiles[t].key.row) / kernel_.key_block);
        }
      }
      count += blocks.size();
    }
    return count;
  };
  std::vector<int> sizes;
  for (const ForwardItem& item : work_.items) sizes.push_back(key_blocks(item));
  EXPECT_TRUE(std::is_sorted(sizes.rbegin(), sizes.rend())) << testing::PrintToString(sizes);
}

TEST_P(ForwardItemsTest, MapsAreOfBuffersAndBoxes) {
  EXPECT_LE(maps_.shapes().size(), 3u);  // Q, K and V
  for (const ForwardTile& tile : work_.tiles) {
    const TensorMapShape& query = maps_.shapes()[tile.query_map];
    EXPECT_EQ(query.buffer, kQueries);
    EXPECT_EQ(query.box_heads, group_);
    EXPECT_EQ(query.box_rows, kernel_.block_rows / group_);
    EXPECT_GE(query.rows, tile.query.row + tile.query_count);
    const TensorMapShape& value = maps_.shapes()[tile.value_map];
    EXPECT_EQ(value.buffer, kValues);
    EXPECT_EQ(value.dim, 128u);
    EXPECT_EQ(value.heads, spec_.key_value_heads);
    EXPECT_EQ(value.box_rows, kernel_.key_block);
    EXPECT_GE(value.rows, tile.value.row + tile.key_count);
    EXPECT_EQ(maps_.shapes()[tile.key_map].buffer, kKeys);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ForwardItemsTest, testing::Range(0, 300));

}  // namespace
}  // namespace flashcp::gpu

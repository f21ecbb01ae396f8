// The order of tiles against all pairs of them, on random tables.

#include "runtime/cpu/tile_order.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

constexpr KernelSpec kSpec = {ElementType::kF32, 4, 2, 8, 8, 1.0f};
constexpr int kTokens = 60;

bool Overlap(int64_t a_begin, int64_t a_end, int64_t b_begin, int64_t b_end) {
  return a_begin < b_end && b_begin < a_end;
}

TEST(TileOrderTest, WavesAscendWhereTilesShareRows) {
  std::mt19937 random(1);
  std::vector<float> lse(kTokens * kSpec.query_heads);
  TileOrder order;
  int shared = 0, largest_wave = 0;
  for (int round = 0; round < 500; ++round) {
    std::vector<AttentionTile> tiles(random() % 12);
    for (AttentionTile& tile : tiles) {
      const int row = random() % kTokens;
      tile.lse = &lse[row * kSpec.query_heads];
      tile.query_count = 1 + random() % std::min(15, kTokens - row);
      tile.head_begin = random() % 4;
      tile.head_end = tile.head_begin + 1 + random() % (4 - tile.head_begin);
    }
    const absl::Span<const int> waves = order.Waves(kSpec, tiles);
    ASSERT_EQ(waves.size(), tiles.size());
    for (size_t i = 0; i < tiles.size(); ++i) {
      largest_wave = std::max(largest_wave, waves[i]);
      for (size_t j = 0; j < i; ++j) {
        const AttentionTile &a = tiles[i], &b = tiles[j];
        const int64_t first_a = a.lse - lse.data(), first_b = b.lse - lse.data();
        if (!Overlap(first_a, first_a + a.query_count * kSpec.query_heads, first_b,
                     first_b + b.query_count * kSpec.query_heads) ||
            !Overlap(a.head_begin, a.head_end, b.head_begin, b.head_end)) {
          continue;
        }
        ++shared;
        EXPECT_LT(waves[j], waves[i]) << "round " << round << ", tiles " << j << " and " << i;
      }
    }
  }
  EXPECT_GT(shared, 100);
  EXPECT_GT(largest_wave, 2);
}

TEST(TileOrderTest, TilesOfDifferentRowsShareAWave) {
  std::vector<float> lse(kTokens * kSpec.query_heads);
  std::vector<AttentionTile> tiles(10);
  for (int i = 0; i < 10; ++i) {
    tiles[i].lse = &lse[i % 5 * 12 * kSpec.query_heads];
    tiles[i].query_count = 12;
    tiles[i].head_end = 4;
  }
  TileOrder order;
  EXPECT_EQ(order.Waves(kSpec, tiles), std::vector<int>({0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
}

TEST(TileOrderTest, ComponentsShareNoGradients) {
  std::mt19937 random(2);
  std::vector<float> query(kTokens * 4 * 8), key(kTokens * 2 * 8);
  TileOrder order;
  int together = 0, apart = 0;
  for (int round = 0; round < 500; ++round) {
    std::vector<BackwardTile> tiles(1 + random() % 8);
    for (BackwardTile& tile : tiles) {
      const int row = random() % kTokens, key_row = random() % kTokens;
      tile.query_gradient = &query[row * 4 * 8];
      tile.query_count = 1 + random() % std::min(6, kTokens - row);
      tile.key_gradient = &key[key_row * 2 * 8];
      tile.key_count = 1 + random() % std::min(6, kTokens - key_row);
    }
    const absl::Span<const int> components = order.Components(kSpec, tiles);
    for (size_t i = 0; i < tiles.size(); ++i) {
      EXPECT_LE(components[i], static_cast<int>(i));
      for (size_t j = 0; j < i; ++j) {
        const BackwardTile &a = tiles[i], &b = tiles[j];
        const bool share =
            Overlap(a.query_gradient - query.data(),
                    a.query_gradient - query.data() + a.query_count * 4 * 8,
                    b.query_gradient - query.data(),
                    b.query_gradient - query.data() + b.query_count * 4 * 8) ||
            Overlap(a.key_gradient - key.data(), a.key_gradient - key.data() + a.key_count * 2 * 8,
                    b.key_gradient - key.data(), b.key_gradient - key.data() + b.key_count * 2 * 8);
        if (share) EXPECT_EQ(components[i], components[j]) << "round " << round;
        (components[i] == components[j] ? together : apart) += 1;
      }
    }
  }
  EXPECT_GT(together, 100);
  EXPECT_GT(apart, 100);
}

}  // namespace
}  // namespace flashcp

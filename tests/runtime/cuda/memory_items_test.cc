// Moves, clears and products by items against the entries themselves.

#include <map>
#include <numeric>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cuda/launch_items.h"

namespace flashcp::gpu {
namespace {

constexpr uint64_t kRowBytes = 64;

// The sources of each target, in the order in which they are moved there: elements by their bytes.
using Moved = std::map<std::pair<uint32_t, uint64_t>, std::vector<std::pair<uint32_t, uint64_t>>>;

struct Sizes {
  uint64_t source, target;
};

Moved Expected(absl::Span<const MoveEntry> entries, Sizes sizes) {
  Moved moved;
  for (const MoveEntry& entry : entries) {
    for (uint64_t row = 0; row < entry.rows; ++row) {
      for (uint64_t i = 0; i < entry.count; ++i) {
        const uint64_t source = entry.source.offset + row * entry.source_stride + i * sizes.source;
        const uint64_t target = entry.target.offset + row * entry.target_stride + i * sizes.target;
        moved[{entry.target.buffer, target}].push_back({entry.source.buffer, source});
      }
    }
  }
  return moved;
}

// Also checks that what goes to one target is in one item.
Moved Executed(const MoveWork& work, Sizes sizes) {
  Moved moved;
  std::map<std::pair<uint32_t, uint64_t>, size_t> item_of;
  for (size_t n = 0; n < work.items.size(); ++n) {
    const MoveItem& item = work.items[n];
    for (uint32_t m = item.move_begin; m < item.move_end; ++m) {
      const Move& move = work.moves[m];
      for (uint64_t row = item.row_begin; row < std::min(item.row_end, move.rows); ++row) {
        for (uint64_t i = 0; i < move.count; ++i) {
          const std::pair target(move.target.buffer,
                                 move.target.offset + row * move.target_stride + i * sizes.target);
          moved[target].push_back(
              {move.source.buffer,
               move.source.offset + row * move.source_stride + i * sizes.source});
          EXPECT_EQ(item_of.insert({target, n}).first->second, n);
        }
      }
    }
  }
  return moved;
}

class AddsTest : public testing::TestWithParam<int> {};

TEST_P(AddsTest, RowsGetTheirAddsInOrder) {
  std::mt19937 random(GetParam());
  auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const uint64_t row_bytes[] = {kRowBytes, kRowBytes, kRowBytes};
  std::vector<MoveEntry> entries(draw(1, 8));
  for (MoveEntry& entry : entries) {
    const uint64_t first = draw(0, 4), count = draw(1, 16 - first);
    const bool irregular = draw(0, 20) == 0;
    entry = {{7, uint64_t(draw(0, 1000))},
             {uint32_t(draw(0, 2)), draw(0, 9) * kRowBytes + 4 * first},
             count,
             uint64_t(draw(0, 8)),
             2 * count,
             irregular ? kRowBytes / 2 : kRowBytes};
  }
  const MoveWork work = BuildMoves(Launch::Kind::kAdd, entries, row_bytes);
  EXPECT_TRUE(Executed(work, {2, 4}) == Expected(entries, {2, 4}));
}

INSTANTIATE_TEST_SUITE_P(Seeds, AddsTest, testing::Range(0, 300));

TEST(MovesTest, LargeAddsAreSliced) {
  const uint64_t row_bytes[] = {4096};
  const MoveEntry add = {{1, 0}, {0, 0}, 1024, 100, 2048, 4096};
  const MoveWork work = BuildMoves(Launch::Kind::kAdd, {add, add}, row_bytes);
  EXPECT_EQ(work.items.size(), 13u);  // 8 rows of two moves each
  EXPECT_TRUE(Executed(work, {2, 4}) == Expected({add, add}, {2, 4}));
}

TEST(MovesTest, CopiesAndRoundsOfEverySize) {
  for (auto [kind, sizes] : {std::pair(Launch::Kind::kCopy, Sizes{1, 1}),
                             std::pair(Launch::Kind::kRound, Sizes{4, 2})}) {
    std::vector<MoveEntry> entries;
    uint64_t source = 0, target = 0;
    auto add = [&](uint64_t count, uint64_t rows) {
      entries.push_back({{0, source},
                         {1, target},
                         count,
                         rows,
                         rows > 1 ? count * sizes.source + 8 : 0,
                         rows > 1 ? count * sizes.target : 0});
      source += rows * (count * sizes.source + 8);
      target += rows * count * sizes.target;
    };
    for (int i = 0; i < 40; ++i) add(256, 3);
    add(70001, 1);
    add(32768, 1);
    add(0, 5);
    add(5, 0);
    for (int i = 0; i < 2; ++i) add(100, 400);
    const MoveWork work = BuildMoves(kind, entries, {});
    EXPECT_TRUE(Executed(work, sizes) == Expected(entries, sizes));
    EXPECT_LT(work.items.size(), 20u);
  }
}

TEST(ClearsTest, SlicesCoverTheFloatsOnce) {
  std::vector<uint64_t> ends(2);
  for (const ClearItem& item : BuildClears({{0, 100000}, {1, 3}, {0, 0}})) {
    EXPECT_EQ(item.begin.offset, 4 * ends[item.begin.buffer]);
    EXPECT_LE(item.count, 16384u);
    ends[item.begin.buffer] += item.count;
  }
  EXPECT_THAT(ends, testing::ElementsAre(100000, 3));
}

TEST(ProductsTest, SlicesCoverTheRowsOnce) {
  const KernelSpec spec = {model::DType::kBF16, 32, 8, 128, 128, 1.0f};
  uint32_t end = 0;
  for (const ProductItem& item : BuildProducts(spec, {{4, 5, 6, 1000}})) {
    EXPECT_EQ(item.row_begin, end);
    EXPECT_LE(item.row_end - item.row_begin, 16u);
    EXPECT_EQ(item.output, 4u);
    EXPECT_EQ(item.output_gradient, 5u);
    EXPECT_EQ(item.sums, 6u);
    end = item.row_end;
  }
  EXPECT_EQ(end, 1000u);
}

}  // namespace
}  // namespace flashcp::gpu

// Workers that compute parts of a backward pass at once add to each row in the order of the table.

#include "runtime/cpu/gradient_order.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/cpu/worker_pool.h"

namespace flashcp {
namespace {

constexpr int kDim = 8;
constexpr int64_t kBlock = 100;  // keys that parts add at once

// Gradients of which no element is touched, only which part adds to which row is noted. The notes
// are not locked: ThreadSanitizer finds parts that add at once.
class Sums {
 public:
  Sums(const KernelSpec& spec, int64_t rows)
      : spec_(spec),
        query_(rows * spec.query_heads * kDim),
        key_(rows * spec.key_value_heads * kDim),
        value_(rows * spec.key_value_heads * kDim),
        found_(rows * spec.key_value_heads) {}

  BackwardTile Tile(int64_t query, int64_t query_count, int64_t key, int64_t key_count) {
    BackwardTile tile = {};
    tile.query_gradient = &query_[query * spec_.query_heads * kDim];
    tile.key_gradient = &key_[key * spec_.key_value_heads * kDim];
    tile.value_gradient = &value_[key * spec_.key_value_heads * kDim];
    tile.query_count = query_count;
    tile.key_count = key_count;
    tile.head_end = spec_.query_heads;
    return tile;
  }

  void AddToKeys(const BackwardPart& part, int head, KeyRange keys) {
    NoteKeys(part, head, keys, &found_);
  }
  void AddToQueries(const BackwardPart& part, int head) { NoteQueries(part, head, &found_); }

  // Each part of each tile has added once to each of its rows, in the order of the table.
  void ExpectInOrder(const std::vector<BackwardTile>& tiles) const {
    Notes expected(found_.query.size());
    const int group = spec_.query_heads / spec_.key_value_heads;
    const int64_t step = kUnitRows / group;
    for (const BackwardTile& tile : tiles) {
      for (int head = 0; head < spec_.key_value_heads; ++head) {
        for (int64_t row = 0; row < tile.query_count; row += step) {
          const int64_t row_end = std::min(row + step, tile.query_count);
          const BackwardPart part = {&tile, {row, row_end, head * group, (head + 1) * group}};
          NoteKeys(part, head, {0, tile.key_count}, &expected);
          NoteQueries(part, head, &expected);
        }
      }
    }
    EXPECT_TRUE(found_.query == expected.query);
    EXPECT_TRUE(found_.key == expected.key);
  }

 private:
  using Place = std::pair<const BackwardTile*, int64_t>;  // of a part: its tile and first row
  struct Notes {
    explicit Notes(int64_t rows) : query(rows), key(rows) {}
    std::vector<std::vector<Place>> query, key;  // [row][key_value_heads]
  };

  void NoteKeys(const BackwardPart& part, int head, KeyRange keys, Notes* notes) const {
    const int64_t first =
        (part.tile->key_gradient - key_.data()) / (spec_.key_value_heads * kDim) + keys.begin;
    for (int64_t row = first; row < first + keys.end - keys.begin; ++row) {
      notes->key[row * spec_.key_value_heads + head].push_back(PlaceOf(part));
    }
  }
  void NoteQueries(const BackwardPart& part, int head, Notes* notes) const {
    const int64_t first = (part.tile->query_gradient - query_.data()) / (spec_.query_heads * kDim);
    for (int64_t row = part.queries.row_begin; row < part.queries.row_end; ++row) {
      notes->query[(first + row) * spec_.key_value_heads + head].push_back(PlaceOf(part));
    }
  }
  static Place PlaceOf(const BackwardPart& part) { return {part.tile, part.queries.row_begin}; }

  const KernelSpec spec_;
  std::vector<float> query_, key_, value_;
  Notes found_;
};

void RunPart(const KernelSpec& spec, int worker, const BackwardPart& part, GradientOrder* order,
             Sums* sums) {
  const int head = part.queries.head_begin / (spec.query_heads / spec.key_value_heads);
  for (int64_t begin = 0; begin < part.tile->key_count; begin += kBlock) {
    const KeyRange keys = {begin, std::min(begin + kBlock, part.tile->key_count)};
    std::this_thread::yield();
    order->AwaitKeys(worker, keys);
    sums->AddToKeys(part, head, keys);
    order->ReleaseKeys(worker, keys.end);
  }
  order->AwaitQueries(worker);
  sums->AddToQueries(part, head);
}

TEST(GradientOrderTest, RowsAreAddedToInTheOrderOfTheTable) {
  const KernelSpec spec = {model::DType::kF32, 4, 2, kDim, kDim, 1.0f};
  for (int workers : {1, 2, 5}) {
    WorkerPool pool(workers);
    GradientOrder order(spec, workers);
    for (int run = 0; run < 10; ++run) {
      Sums sums(spec, 2000);
      const std::vector<BackwardTile> tiles = {
          sums.Tile(0, 1500, 0, 1500),   sums.Tile(1500, 500, 1500, 500),
          sums.Tile(500, 700, 100, 900), sums.Tile(0, 0, 0, 10),
          sums.Tile(0, 2000, 1700, 300), sums.Tile(1999, 1, 0, 2000)};
      order.Start(tiles);
      pool.Run([&](int worker) {
        for (BackwardPart part; order.Take(worker, &part);) {
          RunPart(spec, worker, part, &order, &sums);
        }
      });
      sums.ExpectInOrder(tiles);
    }
  }
}

TEST(GradientOrderTest, PartsOfATableCoverItInOrder) {
  const KernelSpec spec = {model::DType::kF32, 4, 2, kDim, kDim, 1.0f};
  GradientOrder order(spec, 1);
  const int64_t step = kUnitRows / 2, rows = 2 * step - 50;  // of two heads
  Sums sums(spec, rows + 1);
  std::vector<BackwardTile> tiles = {sums.Tile(0, rows, 0, 5), sums.Tile(rows, 1, 0, 5)};
  tiles[1].head_begin = 1;
  tiles[1].head_end = 3;
  order.Start(tiles);
  struct Expected {
    int tile;
    QueryRange queries;
  };
  for (const Expected& expected : std::vector<Expected>{{0, {0, step, 0, 2}},
                                                        {0, {step, rows, 0, 2}},
                                                        {0, {0, step, 2, 4}},
                                                        {0, {step, rows, 2, 4}},
                                                        {1, {0, 1, 1, 2}},
                                                        {1, {0, 1, 2, 3}}}) {
    BackwardPart next, part;
    ASSERT_TRUE(order.Peek(&next));
    ASSERT_TRUE(order.Take(0, &part));
    EXPECT_EQ(next.tile, part.tile);
    EXPECT_EQ(next.queries.row_begin, part.queries.row_begin);
    EXPECT_EQ(next.queries.head_begin, part.queries.head_begin);
    EXPECT_EQ(part.tile, &tiles[expected.tile]);
    EXPECT_EQ(part.queries.row_begin, expected.queries.row_begin);
    EXPECT_EQ(part.queries.row_end, expected.queries.row_end);
    EXPECT_EQ(part.queries.head_begin, expected.queries.head_begin);
    EXPECT_EQ(part.queries.head_end, expected.queries.head_end);
  }
  BackwardPart part;
  EXPECT_FALSE(order.Peek(&part));
  EXPECT_FALSE(order.Take(0, &part));
}

// Where one of these waited, the test would not end.
TEST(GradientOrderTest, PartsWithoutCommonRowsDoNotWait) {
  const KernelSpec spec = {model::DType::kF32, 2, 2, kDim, kDim, 1.0f};
  GradientOrder order(spec, 4);
  Sums sums(spec, 100);
  const std::vector<BackwardTile> tiles = {sums.Tile(0, 50, 0, 50), sums.Tile(50, 50, 50, 50)};
  order.Start(tiles);
  BackwardPart parts[4];
  for (int worker = 0; worker < 4; ++worker) ASSERT_TRUE(order.Take(worker, &parts[worker]));
  for (int worker = 3; worker >= 0; --worker) {  // other documents, other heads
    order.AwaitKeys(worker, {0, 50});
    order.AwaitQueries(worker);
  }
}

TEST(GradientOrderTest, NarrowAndReleaseLetLaterPartsGoOn) {
  const KernelSpec spec = {model::DType::kF32, 1, 1, kDim, kDim, 1.0f};
  GradientOrder order(spec, 2);
  Sums sums(spec, 2 * kUnitRows);
  const std::vector<BackwardTile> tiles = {sums.Tile(0, 2 * kUnitRows, 0, 300)};
  order.Start(tiles);
  BackwardPart first, second;
  ASSERT_TRUE(order.Take(0, &first));
  ASSERT_TRUE(order.Take(1, &second));
  order.Narrow(0, {100, 200});
  order.AwaitKeys(1, {0, 100});
  order.AwaitKeys(1, {200, 300});
  order.ReleaseKeys(0, 150);
  order.AwaitKeys(1, {100, 150});
  order.AwaitQueries(1);  // other rows
  BackwardPart none;
  EXPECT_FALSE(order.Take(0, &none));
  order.AwaitKeys(1, {0, 300});
}

}  // namespace
}  // namespace flashcp

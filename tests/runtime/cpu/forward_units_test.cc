// Cuts of forward tables: units cover every row once for each tile, in the order of the table, and
// share no rows.

#include "runtime/cpu/forward_units.h"

#include <algorithm>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

KernelSpec Heads(int query, int key_value) {
  return {model::DType::kF32, query, key_value, 8, 8, 1.0f};
}

// Tables of tiles over one tensor of rows, of which only the LSE is looked at.
class Table {
 public:
  Table(const KernelSpec& spec, int64_t rows) : spec_(spec), lse_(rows * spec.query_heads) {}

  void Add(int64_t row, int64_t count, int head_begin, int head_end) {
    AttentionTile tile = {};
    tile.lse = &lse_[row * spec_.query_heads];
    tile.query_count = count;
    tile.key_count = count;
    tile.query_row_heads = spec_.query_heads;
    tile.head_begin = head_begin;
    tile.head_end = head_end;
    tiles_.push_back(tile);
  }
  void Add(int64_t row, int64_t count) { Add(row, count, 0, spec_.query_heads); }

  int64_t RowOf(const AttentionTile& tile) const {
    return (tile.lse - lse_.data()) / spec_.query_heads;
  }
  const std::vector<AttentionTile>& tiles() const { return tiles_; }

 private:
  const KernelSpec spec_;
  std::vector<float> lse_;
  std::vector<AttentionTile> tiles_;
};

using RowAndHead = std::pair<int64_t, int>;

// Which tiles a row meets, in order, and in which unit.
struct Met {
  std::vector<size_t> tiles;
  size_t unit;
};

void ExpectSame(const ForwardPart& a, const ForwardPart& b) {
  EXPECT_EQ(a.tile, b.tile);
  EXPECT_EQ(a.queries.row_begin, b.queries.row_begin);
  EXPECT_EQ(a.queries.row_end, b.queries.row_end);
  EXPECT_EQ(a.queries.head_begin, b.queries.head_begin);
  EXPECT_EQ(a.queries.head_end, b.queries.head_end);
}

void ExpectGoodCut(const KernelSpec& spec, const Table& table) {
  std::map<RowAndHead, std::vector<size_t>> expected;
  for (size_t i = 0; i < table.tiles().size(); ++i) {
    const AttentionTile& tile = table.tiles()[i];
    for (int64_t row = 0; row < tile.query_count; ++row) {
      for (int head = tile.head_begin; head < tile.head_end; ++head) {
        expected[{table.RowOf(tile) + row, head}].push_back(i);
      }
    }
  }
  ForwardUnits units(spec);
  std::map<RowAndHead, Met> found;
  ForwardPart announced = {};
  const absl::Span<const ForwardUnit> cut = units.Cut(table.tiles());
  for (size_t u = 0; u < cut.size(); ++u) {
    if (u > 0) {
      EXPECT_LE(cut[u].work, cut[u - 1].work);
    }
    const ForwardUnit* following = u + 1 < cut.size() ? &cut[u + 1] : nullptr;
    units.ForEachPart(cut[u], following, [&](const ForwardPart& part, const ForwardPart* next) {
      const AttentionTile& tile = *part.tile;
      const QueryRange& queries = part.queries;
      if (!found.empty()) ExpectSame(announced, part);
      announced = next != nullptr ? *next : ForwardPart{};
      EXPECT_LE(queries.rows(), kUnitRows);
      const int group = spec.query_heads / spec.key_value_heads;
      EXPECT_EQ(queries.head_begin / group, (queries.head_end - 1) / group);
      for (int64_t row = queries.row_begin; row < queries.row_end; ++row) {
        for (int head = queries.head_begin; head < queries.head_end; ++head) {
          Met& met = found.try_emplace({table.RowOf(tile) + row, head}, Met{{}, u}).first->second;
          EXPECT_EQ(met.unit, u) << "row " << row << ", head " << head;
          met.tiles.push_back(&tile - table.tiles().data());
        }
      }
    });
  }
  EXPECT_EQ(announced.tile, nullptr);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [row, met] : found) EXPECT_EQ(met.tiles, expected[row]);
}

TEST(ForwardUnitsTest, TilesThatMergeAreOneUnitAndOthersAreNot) {
  const KernelSpec spec = Heads(2, 1);
  Table table(spec, 100);
  table.Add(0, 40);
  table.Add(40, 60);
  table.Add(0, 40);  // merges into the first
  ForwardUnits units(spec);
  EXPECT_EQ(units.Cut(table.tiles()).size(), 2);
  ExpectGoodCut(spec, table);
}

TEST(ForwardUnitsTest, LongChainsAreCutByRowsAndHeads) {
  const KernelSpec spec = Heads(4, 2);
  Table table(spec, 5 * kUnitRows);
  for (int stage = 0; stage < 3; ++stage) table.Add(0, 5 * kUnitRows);
  ForwardUnits units(spec);
  EXPECT_EQ(units.Cut(table.tiles()).size(), 20);
  ExpectGoodCut(spec, table);
}

TEST(ForwardUnitsTest, EmptyTables) {
  ForwardUnits units(Heads(2, 1));
  EXPECT_TRUE(units.Cut({}).empty());
  Table table(Heads(2, 1), 10);
  table.Add(3, 0);
  EXPECT_TRUE(units.Cut(table.tiles()).empty());
}

TEST(ForwardUnitsTest, RandomTables) {
  std::mt19937 random(3);
  for (auto [query, key_value] : {std::pair(1, 1), {4, 2}, {6, 1}, {kUnitRows + 400, 1}}) {
    const KernelSpec spec = Heads(query, key_value);
    for (int i = 0; i < 20; ++i) {
      SCOPED_TRACE(i);
      const int64_t rows = query > kUnitRows ? 3 : 1500;
      Table table(spec, rows);
      for (int tiles = random() % 12; tiles >= 0; --tiles) {
        const int64_t row = random() % rows;
        const int head = random() % query;
        table.Add(row, random() % (rows - row + 1), head, head + 1 + random() % (query - head));
      }
      ExpectGoodCut(spec, table);
    }
  }
}

}  // namespace
}  // namespace flashcp

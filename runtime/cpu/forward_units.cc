// Cuts the tiles of a launch into units of about equal work.

#include "runtime/cpu/forward_units.h"

#include <algorithm>

namespace flashcp {
namespace {

// The query heads of a tile that share a head of keys and values.
struct HeadRange {
  int begin;
  int end;
};

HeadRange HeadsOf(const KernelSpec& spec, const AttentionTile& tile, int key_value_head) {
  const int group = spec.query_heads / spec.key_value_heads;
  const int begin = std::max(tile.head_begin, key_value_head * group);
  return {begin, std::max(begin, std::min(tile.head_end, (key_value_head + 1) * group))};
}

// Rows of so many heads that fit a worker's memory.
int64_t RowsThatFit(int heads) { return kUnitRows / std::clamp(heads, 1, kUnitRows); }

double WorkOf(const ForwardPart& part) {
  double keys = 1;
  for (int64_t row : {part.queries.row_begin, part.queries.row_end - 1}) {
    const KeyRange visible = VisibleKeys(*part.tile, row);
    keys += static_cast<double>(visible.end - visible.begin);
  }
  return keys * part.queries.rows();
}

}  // namespace

// Units of a chain have no more rows than those of its tiles together, in steps that are no smaller
// than that of whole groups.
void ForwardUnits::Reserve(absl::Span<const AttentionTile> tiles) {
  const int64_t step = RowsThatFit(spec_.query_heads / spec_.key_value_heads);
  int64_t units = 0;
  for (const AttentionTile& tile : tiles) units += (tile.query_count + step - 1) / step;
  units_.reserve(units * spec_.key_value_heads);
  rows_.reserve(tiles.size());
}

absl::Span<const ForwardUnit> ForwardUnits::Cut(absl::Span<const AttentionTile> tiles) {
  tiles_ = tiles;
  row_bytes_ = tiles.empty() ? 0 : tiles[0].query_row_heads * int64_t{sizeof(float)};
  units_.clear();
  rows_.clear();
  for (size_t i = 0; i < tiles.size(); ++i) {
    if (tiles[i].query_count == 0) continue;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(tiles[i].lse);
    rows_.push_back({begin, begin + tiles[i].query_count * row_bytes_, i});
  }
  std::sort(rows_.begin(), rows_.end(),
            [](const TileRows& a, const TileRows& b) { return a.begin < b.begin; });
  for (size_t begin = 0; begin < rows_.size();) {
    size_t end = begin + 1;
    uintptr_t rows_end = rows_[begin].end;
    for (; end < rows_.size() && rows_[end].begin < rows_end; ++end) {
      rows_end = std::max(rows_end, rows_[end].end);
    }
    CutChain(begin, end, rows_end);
    begin = end;
  }
  std::sort(units_.begin(), units_.end(),
            [](const ForwardUnit& a, const ForwardUnit& b) { return a.work > b.work; });
  return units_;
}

void ForwardUnits::CutChain(size_t begin, size_t end, uintptr_t rows_end) {
  const uintptr_t first_row = rows_[begin].begin;
  const int64_t count = static_cast<int64_t>(rows_end - first_row) / row_bytes_;
  std::sort(rows_.begin() + begin, rows_.begin() + end,
            [](const TileRows& a, const TileRows& b) { return a.tile < b.tile; });
  for (int head = 0; head < spec_.key_value_heads; ++head) {
    int heads = 0;
    for (size_t i = begin; i < end; ++i) {
      const HeadRange range = HeadsOf(spec_, tiles_[rows_[i].tile], head);
      heads = std::max(heads, range.end - range.begin);
    }
    if (heads == 0) continue;
    const int64_t step = RowsThatFit(heads);
    for (int64_t row = 0; row < count; row += step) {
      AddUnit({begin, end, first_row + row * row_bytes_, std::min(step, count - row), head, 0});
    }
  }
}

void ForwardUnits::AddUnit(ForwardUnit unit) {
  VisitParts(unit, [&](const ForwardPart& part) { unit.work += WorkOf(part); });
  if (unit.work > 0) units_.push_back(unit);
}

void ForwardUnits::ForEachPart(const ForwardUnit& unit, const ForwardUnit* following,
                               Use use) const {
  ForwardPart waiting = {}, first = {};
  VisitParts(unit, [&](const ForwardPart& next) {
    if (waiting.tile != nullptr) use(waiting, &next);
    waiting = next;
  });
  if (following != nullptr) {
    VisitParts(*following, [&](const ForwardPart& part) {
      if (first.tile == nullptr) first = part;
    });
  }
  if (waiting.tile != nullptr) use(waiting, first.tile != nullptr ? &first : nullptr);
}

void ForwardUnits::VisitParts(const ForwardUnit& unit,
                              absl::FunctionRef<void(const ForwardPart&)> visit) const {
  for (size_t i = unit.chain_begin; i < unit.chain_end; ++i) {
    const AttentionTile& tile = tiles_[rows_[i].tile];
    const int64_t row = static_cast<int64_t>(unit.first_row - rows_[i].begin) / row_bytes_;
    const int64_t row_begin = std::max<int64_t>(row, 0);
    const int64_t row_end = std::min(row + unit.row_count, tile.query_count);
    if (row_begin >= row_end) continue;
    const HeadRange heads = HeadsOf(spec_, tile, unit.key_value_head);
    for (int head = heads.begin; head < heads.end; head += kUnitRows) {
      visit({&tile, {row_begin, row_end, head, std::min(head + kUnitRows, heads.end)}});
    }
  }
}

}  // namespace flashcp

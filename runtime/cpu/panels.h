// Query rows of a tile in panels: how many there are and which keys each of them sees.

#ifndef FLASHCP_RUNTIME_CPU_PANELS_H_
#define FLASHCP_RUNTIME_CPU_PANELS_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/pack.h"
#include "runtime/cpu/visible_keys.h"
#include "runtime/kernels.h"
#include "runtime/numeric.h"

namespace flashcp {

inline constexpr float kLog2E = 1.44269504088896340736f;
inline constexpr float kLn2 = 0.693147180559945309417f;

// Query rows that a worker packs at once: a whole number of panels and of blocks, a little more
// than 1024, so that 256 tokens of 4 heads fit. More would pack keys less often, and leave the
// second cache and what it shares of the third.
inline constexpr int kUnitRows = 11 * kBlockRows;

inline int64_t RoundUp(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// Queries [row_begin, row_end) of heads [head_begin, head_end), which share their keys. Rows are
// numbered by token, then head: neighbours are a group's heads, which see the same keys.
struct QueryRange {
  int64_t row_begin;
  int64_t row_end;
  int head_begin;
  int head_end;

  int heads() const { return head_end - head_begin; }
  int rows() const { return static_cast<int>((row_end - row_begin) * heads()); }
};

// A partition of rows into panels. If they do not fill all, the first is short: under a causal mask
// its rows see the fewest keys.
struct Panels {
  Panels(const QueryRange& queries, int panel_rows)
      : rows(queries.rows()),
        panel_rows(panel_rows),
        count(static_cast<int>(RoundUp(rows, panel_rows) / panel_rows)) {}

  int FirstRow(int panel) const { return std::max(0, rows - (count - panel) * panel_rows); }
  int RowsIn(int panel) const { return FirstRow(panel + 1) - FirstRow(panel); }
  template <typename Byte>
  RowsOf<Byte> RowsOfPanel(const RowsOf<Byte>& all, int panel) const {
    return all.Slice(FirstRow(panel), RowsIn(panel));
  }

  const int rows;
  const int panel_rows;
  const int count;
};

// A matrix [tokens, row_heads, dim] of elements, from a pointer of the tile.
template <typename Byte>
RowsOf<Byte> RowsOfQueries(Byte* tensor, const QueryRange& queries, int row_heads, int head_bytes) {
  const int64_t first = queries.row_begin * row_heads + queries.head_begin;
  return {tensor + first * head_bytes,
          int64_t{row_heads} * head_bytes,
          head_bytes,
          queries.heads(),
          0,
          queries.rows()};
}

template <typename Byte>
RowsOf<Byte> RowsOfKeys(Byte* tensor, KeyRange keys, int key_value_head, int row_heads,
                        int head_bytes) {
  const int64_t first = keys.begin * row_heads + key_value_head;
  return {tensor + first * head_bytes,
          int64_t{row_heads} * head_bytes,
          head_bytes,
          1,
          0,
          static_cast<int>(keys.end - keys.begin)};
}

// Generated kernels count the keys of a tile in 32 bits.
inline constexpr int64_t kMaxTileKeys = std::numeric_limits<int32_t>::max();

// What the rows of a panel see: some of them `any`, all of them `all`, those of its first vector
// nothing from `narrow` on.
struct PanelKeys {
  KeyRange any;
  KeyRange all;
  int64_t narrow;
};

// Fills visible, [2][stride], for the rows of a panel; further ones, up to a full panel, see
// nothing.
template <typename Tile>
PanelKeys FindVisible(const Tile& tile, const QueryRange& queries, int panel,
                      const GeneratedKernel& kernel, int stride, int32_t* visible) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const int panel_rows = kernel.panel_rows;
  const Panels panels(queries, panel_rows);
  PanelKeys keys = {{kMax, 0}, {0, kMax}, 0};
  for (int i = 0; i < panel_rows; ++i) {
    KeyRange range = {0, 0};
    if (i < panels.RowsIn(panel)) {
      range = VisibleKeys(tile, queries.row_begin + (panels.FirstRow(panel) + i) / queries.heads());
      if (range.begin < range.end) {
        keys.any = {std::min(keys.any.begin, range.begin), std::max(keys.any.end, range.end)};
      }
      keys.all = {std::max(keys.all.begin, range.begin), std::min(keys.all.end, range.end)};
    }
    if (i < kernel.lanes) keys.narrow = std::max(keys.narrow, range.end);
    visible[i] = static_cast<int32_t>(range.begin);
    visible[stride + i] = static_cast<int32_t>(range.end);
  }
  return keys;
}

// The part of a run of keys that a panel has to do with, counted from its first: `any` and `narrow`
// rounded out to groups, and `all`.
inline PanelKeys Within(const PanelKeys& keys, KeyRange run, int group) {
  const int64_t begin = std::max(keys.any.begin, run.begin) - run.begin;
  const int64_t end = std::min(keys.any.end, run.end) - run.begin;
  if (begin >= end) return {{0, 0}, {0, 0}, 0};
  return {{begin / group * group, RoundUp(end, group)},
          {keys.all.begin - run.begin, std::min(keys.all.end, run.end) - run.begin},
          RoundUp(std::max<int64_t>(keys.narrow - run.begin, 0), group)};
}

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_PANELS_H_

// Cuts tiles so that the rows and heads of any two are the same or apart: what shares rows can then
// be one chain, or take turns block by block.

#ifndef FLASHCP_RUNTIME_CUDA_TILE_CUTS_H_
#define FLASHCP_RUNTIME_CUDA_TILE_CUTS_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "model/band.h"
#include "runtime/cuda/kernel_info.h"
#include "runtime/kernels.h"
#include "runtime/launch_tables.h"

namespace flashcp::gpu {

// The ends of row ranges, by buffer.
class RowCuts {
 public:
  void Add(flashcp::BufferRow first, int64_t count) {
    ends_[first.buffer].insert({int64_t{first.row}, first.row + count});
  }

  // Calls use(begin, end) for the pieces of these rows, counted from the first.
  template <typename Use>
  void ForEachPiece(flashcp::BufferRow first, int64_t count, const Use& use) const {
    if (count == 0) return;
    const std::set<int64_t>& ends = ends_.at(first.buffer);
    int64_t begin = 0;
    for (auto end = ends.upper_bound(first.row); begin < count; ++end) {
      const int64_t next = *end - first.row;
      use(begin, next);
      begin = next;
    }
  }

 private:
  std::map<uint32_t, std::set<int64_t>> ends_;
};

// Keeps rows [begin, end) of the entry's queries.
inline void CutQueries(int64_t begin, int64_t end, ForwardEntry* entry) {
  for (flashcp::BufferRow* row :
       {&entry->query, &entry->output, &entry->lse, &entry->accumulator}) {
    row->row += static_cast<uint32_t>(begin);
  }
  entry->query_position += begin;
  entry->query_count = end - begin;
}

inline void CutQueries(int64_t begin, int64_t end, BackwardEntry* entry) {
  for (flashcp::BufferRow* row : {&entry->query, &entry->output_gradient, &entry->lse,
                                  &entry->delta, &entry->query_gradient}) {
    row->row += static_cast<uint32_t>(begin);
  }
  entry->query_position += begin;
  entry->query_count = end - begin;
}

// Keeps rows [begin, end) of the entry's keys.
inline void CutKeys(int64_t begin, int64_t end, BackwardEntry* entry) {
  for (flashcp::BufferRow* row :
       {&entry->key, &entry->value, &entry->key_gradient, &entry->value_gradient}) {
    row->row += static_cast<uint32_t>(begin);
  }
  entry->key_position += begin;
  entry->key_count = end - begin;
}

// The heads at which tiles of a launch begin or end. A cut at the edge of a group costs nothing,
// since items are of one K/V head anyway.
template <typename Entries>
std::set<int> HeadEnds(const Entries& entries) {
  std::set<int> ends;
  for (const auto& entry : entries) ends.insert({entry.head_begin, entry.head_end});
  return ends;
}

// Calls use(piece) for the entry's pieces between these heads.
template <typename Entry, typename Use>
void ForEachHeadPiece(const Entry& entry, const std::set<int>& ends, const Use& use) {
  Entry piece = entry;
  for (auto end = ends.upper_bound(entry.head_begin); piece.head_begin < entry.head_end; ++end) {
    piece.head_end = *end;
    use(piece);
    piece.head_begin = *end;
  }
}

// The keys that rows of a tile see: row r sees [r + low, r + high) of those that there are.
struct RowBand {
  int32_t low;
  int32_t high;
};

template <typename Entry>
RowBand RowBandOf(const Entry& entry) {
  constexpr int64_t kLimit = int64_t{1} << 30;
  const int64_t shift = entry.query_position - entry.key_position;
  return {static_cast<int32_t>(std::clamp(shift + entry.band.lower, -kLimit, kLimit)),
          static_cast<int32_t>(std::clamp(shift + entry.band.upper + 1, -kLimit, kLimit))};
}

// Half-open range of blocks.
struct BlockRange {
  int64_t begin;
  int64_t end;

  int64_t size() const { return std::max<int64_t>(end - begin, 0); }
};

// Returns the blocks of keys that rows [begin, end) of a tile see.
template <typename Tile>
BlockRange KeyBlocksSeen(const Tile& tile, int64_t begin, int64_t end, int key_block) {
  const int64_t first = std::max<int64_t>(begin + tile.low, 0);
  const int64_t last = std::min<int64_t>(end - 1 + tile.high, tile.key_count);
  if (first >= last || tile.low >= tile.high) return {0, 0};
  return {first / key_block, (last - 1) / key_block + 1};
}

// The blocks in which a kernel takes the rows of a tile.
struct BlockShape {
  BlockShape(const KernelSpec& spec, const KernelInfo& kernel)
      : group(spec.query_heads / spec.key_value_heads),
        tokens(kernel.block_rows / group),
        keys(kernel.key_block) {}

  int64_t QueryBlocks(int64_t count) const { return (count + tokens - 1) / tokens; }
  int64_t KeyBlocks(int64_t count) const { return (count + keys - 1) / keys; }

  // Calls use(number, begin, end) for the blocks of a tile's queries.
  template <typename Use>
  void ForEachQueryBlock(int64_t count, const Use& use) const {
    for (int64_t block = 0; block * tokens < count; ++block) {
      use(block, block * tokens, std::min((block + 1) * tokens, count));
    }
  }

  int group;       // query heads of a K/V head
  int64_t tokens;  // of a block of queries
  int keys;        // of a block of keys
};

// Calls use(head_begin, head_end) for the query heads of each K/V head that an entry has.
template <typename Entry, typename Use>
void ForEachGroup(const Entry& entry, int group, const Use& use) {
  for (int begin = entry.head_begin, end; begin < entry.head_end; begin = end) {
    end = std::min(entry.head_end, (begin / group + 1) * group);
    use(begin, end);
  }
}

}  // namespace flashcp::gpu

#endif  // FLASHCP_RUNTIME_CUDA_TILE_CUTS_H_

// Tiles that write the same rows form a chain, whose blocks of rows are the items. The longest come
// first, so that the last ones to end are short.

#include <algorithm>
#include <tuple>
#include <utility>

#include "runtime/cuda/launch_items.h"
#include "runtime/cuda/tile_cuts.h"
#include "runtime/cuda/tile_fields.h"

namespace flashcp::gpu {
namespace {

// Returns the pieces of all entries; those of one chain follow each other, in the order of the
// table.
std::vector<ForwardEntry> CutForward(absl::Span<const ForwardEntry> entries) {
  const std::set<int> heads = HeadEnds(entries);
  RowCuts queries;
  for (const ForwardEntry& entry : entries) queries.Add(entry.lse, entry.query_count);
  std::vector<ForwardEntry> pieces;
  for (const ForwardEntry& entry : entries) {
    ForEachHeadPiece(entry, heads, [&](const ForwardEntry& of_heads) {
      queries.ForEachPiece(entry.lse, entry.query_count, [&](int64_t begin, int64_t end) {
        pieces.push_back(of_heads);
        CutQueries(begin, end, &pieces.back());
      });
    });
  }
  auto chain = [](const ForwardEntry& piece) {
    return std::tuple(piece.lse.buffer, piece.lse.row, piece.head_begin);
  };
  std::stable_sort(pieces.begin(), pieces.end(),
                   [&](const auto& a, const auto& b) { return chain(a) < chain(b); });
  return pieces;
}

class ForwardBuilder {
 public:
  ForwardBuilder(const KernelSpec& spec, const KernelInfo& kernel, TensorMaps* maps)
      : spec_(spec), blocks_(spec, kernel), maps_(maps) {}

  // Adds a chain. Tiles that show their rows no key are left out, but for one that writes them.
  void AddChain(absl::Span<const ForwardEntry> chain) {
    const uint32_t begin = work_.tiles.size();
    for (const ForwardEntry& entry : chain) {
      const ForwardTile tile = TileOf(entry);
      if (KeyBlocksSeen(tile, 0, tile.query_count, blocks_.keys).size() > 0) {
        work_.tiles.push_back(tile);
      }
    }
    if (work_.tiles.size() == begin) {
      if (!chain.front().first && !chain.back().last) return;
      work_.tiles.push_back(TileOf(chain.front()));
    }
    if (chain.front().first) work_.tiles[begin].flags |= ForwardTile::kFirst;
    if (chain.back().last) work_.tiles.back().flags |= ForwardTile::kLast;
    AddItems(chain.front(), begin);
  }

  ForwardWork Finish() {
    std::stable_sort(items_.begin(), items_.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& item : items_) work_.items.push_back(item.second);
    return std::move(work_);
  }

 private:
  ForwardTile TileOf(const ForwardEntry& entry) {
    ForwardTile tile = {};
    SetTile(spec_, blocks_, entry, maps_, &tile);
    tile.output = DeviceRow(entry.output);
    tile.lse = DeviceRow(entry.lse);
    tile.accumulator = DeviceRow(entry.accumulator);
    return tile;
  }

  // Adds the items of the chain that begins at a tile and ends with the last one.
  void AddItems(const ForwardEntry& entry, uint32_t begin) {
    const uint32_t end = work_.tiles.size();
    ForEachGroup(entry, blocks_.group, [&](int head_begin, int head_end) {
      blocks_.ForEachQueryBlock(entry.query_count, [&](int64_t, int64_t first, int64_t last) {
        int64_t key_blocks = 0;
        for (uint32_t t = begin; t < end; ++t) {
          key_blocks += KeyBlocksSeen(work_.tiles[t], first, last, blocks_.keys).size();
        }
        items_.push_back({key_blocks,
                          {begin, end, static_cast<uint32_t>(first),
                           static_cast<uint16_t>(head_begin), static_cast<uint16_t>(head_end)}});
      });
    });
  }

  const KernelSpec spec_;
  const BlockShape blocks_;
  TensorMaps* const maps_;
  ForwardWork work_;
  std::vector<std::pair<int64_t, ForwardItem>> items_;  // by key blocks
};

}  // namespace

ForwardWork BuildForward(const KernelSpec& spec, const KernelInfo& kernel,
                         absl::Span<const ForwardEntry> entries, TensorMaps* maps) {
  const std::vector<ForwardEntry> pieces = CutForward(entries);
  ForwardBuilder builder(spec, kernel, maps);
  for (size_t begin = 0, end; begin < pieces.size(); begin = end) {
    end = begin + 1;
    while (end < pieces.size() && pieces[end].lse.buffer == pieces[begin].lse.buffer &&
           pieces[end].lse.row == pieces[begin].lse.row &&
           pieces[end].head_begin == pieces[begin].head_begin) {
      ++end;
    }
    builder.AddChain(absl::MakeConstSpan(pieces).subspan(begin, end - begin));
  }
  return builder.Finish();
}

}  // namespace flashcp::gpu

#include "runtime/cpu/tile_order.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>

namespace flashcp {

// Sorts the ranges and calls use(ranges) for each part of them that is connected by overlaps.
template <typename Use>
void TileOrder::ForEachCluster(const Use& use) {
  const std::less<const float*> less;
  std::sort(ranges_.begin(), ranges_.end(), [&](const RowRange& a, const RowRange& b) {
    return a.begin == b.begin ? a.tile < b.tile : less(a.begin, b.begin);
  });
  for (size_t begin = 0; begin < ranges_.size();) {
    const float* rows_end = ranges_[begin].end;
    size_t end = begin + 1;
    for (; end < ranges_.size() && less(ranges_[end].begin, rows_end); ++end) {
      rows_end = std::max(rows_end, ranges_[end].end, less);
    }
    use(absl::MakeSpan(&ranges_[begin], end - begin));
    begin = end;
  }
}

absl::Span<const int> TileOrder::Waves(const KernelSpec& spec,
                                       absl::Span<const AttentionTile> tiles) {
  ranges_.clear();
  for (const AttentionTile& tile : tiles) {
    ranges_.push_back({tile.lse, tile.lse + tile.query_count * spec.query_heads,
                       static_cast<int>(ranges_.size())});
  }
  numbers_.assign(tiles.size(), 0);
  ForEachCluster([&](absl::Span<RowRange> cluster) {
    std::sort(cluster.begin(), cluster.end(),
              [](const RowRange& a, const RowRange& b) { return a.tile < b.tile; });
    for (size_t i = 1; i < cluster.size(); ++i) {
      const RowRange& rows = cluster[i];
      const AttentionTile& tile = tiles[rows.tile];
      for (size_t j = i; j-- > 0;) {
        const RowRange& earlier = cluster[j];
        const AttentionTile& other = tiles[earlier.tile];
        if (!(rows.begin < earlier.end && earlier.begin < rows.end)) continue;
        if (!(tile.head_begin < other.head_end && other.head_begin < tile.head_end)) continue;
        numbers_[rows.tile] = std::max(numbers_[rows.tile], numbers_[earlier.tile] + 1);
        // Whatever shares rows with this tile shares them with the other one, which came after it.
        if (earlier.begin <= rows.begin && rows.end <= earlier.end &&
            other.head_begin <= tile.head_begin && tile.head_end <= other.head_end) {
          break;
        }
      }
    }
  });
  return numbers_;
}

// The parent of a tile is never after it.
int TileOrder::RootOf(int tile) {
  while (numbers_[tile] != tile) tile = numbers_[tile] = numbers_[numbers_[tile]];
  return tile;
}

void TileOrder::UniteClusters() {
  ForEachCluster([&](absl::Span<RowRange> cluster) {
    for (const RowRange& range : cluster.subspan(1)) {
      const int a = RootOf(cluster[0].tile), b = RootOf(range.tile);
      numbers_[std::max(a, b)] = std::min(a, b);
    }
  });
}

absl::Span<const int> TileOrder::Components(const KernelSpec& spec,
                                            absl::Span<const BackwardTile> tiles) {
  numbers_.resize(tiles.size());
  std::iota(numbers_.begin(), numbers_.end(), 0);
  ranges_.clear();
  for (const BackwardTile& tile : tiles) {
    const int64_t size = tile.query_count * spec.query_heads * spec.dim;
    ranges_.push_back(
        {tile.query_gradient, tile.query_gradient + size, static_cast<int>(ranges_.size())});
  }
  UniteClusters();
  ranges_.clear();
  for (const BackwardTile& tile : tiles) {
    const int64_t size = tile.key_count * spec.key_value_heads * spec.dim;
    ranges_.push_back(
        {tile.key_gradient, tile.key_gradient + size, static_cast<int>(ranges_.size())});
  }
  UniteClusters();
  for (size_t tile = 0; tile < tiles.size(); ++tile) numbers_[tile] = RootOf(tile);
  return numbers_;
}

}  // namespace flashcp

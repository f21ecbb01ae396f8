// Which keys of a tile its mask lets a query see.

#ifndef FLASHCP_RUNTIME_CPU_VISIBLE_KEYS_H_
#define FLASHCP_RUNTIME_CPU_VISIBLE_KEYS_H_

#include <algorithm>
#include <cstdint>

#include "runtime/kernels.h"

namespace flashcp {

// Keys of a tile, as offsets from its first one.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

// The keys of the tile that its mask lets query row `row` see; both ends grow with the row.
template <typename Tile>
KeyRange VisibleKeys(const Tile& tile, int64_t row) {
  int64_t query = tile.query_position + row - tile.key_position;
  int64_t begin = tile.mask == MaskType::kWindow ? query - tile.window + 1 : 0;
  int64_t end = tile.mask == MaskType::kFull ? tile.key_count : query + 1;
  begin = std::clamp<int64_t>(begin, 0, tile.key_count);
  return {begin, std::clamp(end, begin, tile.key_count)};
}

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_VISIBLE_KEYS_H_

// Which keys of a tile a query sees: those of its band.

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

// Returns the keys of the tile that query row `row` sees; both ends grow with the row.
template <typename Tile>
KeyRange VisibleKeys(const Tile& tile, int64_t row) {
  const int64_t query = tile.query_position + row - tile.key_position;
  const int64_t begin = std::clamp<int64_t>(query + tile.band.lower, 0, tile.key_count);
  return {begin, std::clamp(query + tile.band.upper + 1, begin, tile.key_count)};
}

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_VISIBLE_KEYS_H_

// Where the queries and keys of one tile lie in their document, for tests of kernels.

#ifndef FLASHCP_TESTS_TESTING_TILE_SHAPE_H_
#define FLASHCP_TESTS_TESTING_TILE_SHAPE_H_

#include <cstdint>

#include "runtime/kernels.h"

namespace flashcp::testing {

struct TileShape {
  int64_t query_position;
  int64_t query_count;
  int64_t key_position;
  int64_t key_count;
  MaskType mask;
  int64_t window;

  // Whether query row i of the tile sees its key row j.
  bool Sees(int64_t i, int64_t j) const {
    const int64_t distance = query_position + i - key_position - j;
    if (mask == MaskType::kFull) return true;
    return distance >= 0 && (mask == MaskType::kCausal || distance < window);
  }
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TILE_SHAPE_H_

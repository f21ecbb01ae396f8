// Where the queries and keys of one tile lie in their document, and bands to mask them by, for
// tests of kernels.

#ifndef FLASHCP_TESTS_TESTING_TILE_SHAPE_H_
#define FLASHCP_TESTS_TESTING_TILE_SHAPE_H_

#include <cstdint>

#include "model/mask.h"

namespace flashcp::testing {

struct TileShape {
  int64_t query_position;
  int64_t query_count;
  int64_t key_position;
  int64_t key_count;
  model::Mask mask;

  // Whether query row i of the tile sees its key row j.
  bool Sees(int64_t i, int64_t j) const {
    const int64_t ahead = key_position + j - query_position - i;
    return mask.band().lower <= ahead && ahead <= mask.band().upper;
  }
};

// Masks that have their limits at a distance: the three with names, and bands that lie behind the
// diagonal, across it and ahead of it, with and without a limit on either side.
using MaskAt = model::Mask (*)(int32_t distance);
inline constexpr MaskAt kMasksAt[] = {
    [](int32_t) { return model::Mask::Causal(); },
    [](int32_t) { return model::Mask::Full(); },
    [](int32_t distance) { return model::Mask::Window(distance); },
    [](int32_t distance) {
      return model::Mask({-2 * distance, -distance});
    },
    [](int32_t distance) {
      return model::Mask({-distance, distance / 3});
    },
    [](int32_t distance) {
      return model::Mask({distance / 2, distance});
    },
    [](int32_t distance) {
      return model::Mask({model::Band::kNoLower, -distance});
    },
    [](int32_t distance) {
      return model::Mask({-distance, model::Band::kNoUpper});
    },
    [](int32_t distance) {
      return model::Mask({distance, model::Band::kNoUpper});
    },
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TILE_SHAPE_H_

// Binary search over the ranges of a document.

#include "compiler/analysis/RowIndex.h"

using namespace mlir;

namespace flashcp {

std::optional<uint32_t> RowIndex::find(int64_t document, int64_t begin,
                                       int64_t end) const {
  if (document < 0 || document + 1 >= int64_t(firstPlaced.size()))
    return std::nullopt;
  auto first = placed.begin() + firstPlaced[document];
  auto next =
      std::upper_bound(first, placed.begin() + firstPlaced[document + 1], begin,
                       [](int64_t position, const Placed &range) {
                         return position < range.begin;
                       });
  // The nearest range that begins before; an earlier one only if ranges
  // overlap.
  while (next != first) {
    --next;
    if (end <= next->end)
      return next->row + (begin - next->begin);
  }
  return std::nullopt;
}

} // namespace flashcp

#include "compiler/analysis/RowIndex.h"

#include "dialects/cp/CP.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

RowIndex::RowIndex(ArrayRef<int64_t> numbers) {
  ranges.reserve(numbers.size() / cp::kTokenRangeSize);
  for (size_t i = 0; i < numbers.size(); i += cp::kTokenRangeSize) {
    firstRange.resize(numbers[i] + 1, ranges.size());
    ranges.push_back({numbers[i + 1], numbers[i + 2], rows});
    rows += numbers[i + 2] - numbers[i + 1];
  }
  firstRange.push_back(ranges.size());
}

std::optional<uint32_t> RowIndex::find(int64_t document, int64_t begin,
                                       int64_t end) const {
  if (document < 0 || document + 1 >= int64_t(firstRange.size()))
    return std::nullopt;
  auto first = ranges.begin() + firstRange[document];
  auto next = std::upper_bound(first, ranges.begin() + firstRange[document + 1],
                               begin, [](int64_t position, const Range &range) {
                                 return position < range.begin;
                               });
  // The nearest range that begins before; an earlier one only where ranges
  // overlap.
  while (next != first) {
    --next;
    if (end <= next->end)
      return next->row + (begin - next->begin);
  }
  return std::nullopt;
}

} // namespace flashcp

// The ranges of a shard sorted by owner, for binary search.

#include "compiler/analysis/OwnedRanges.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

OwnedRanges::OwnedRanges(cp::ShardOp shard) : ranges(shard.getOwned()) {
  llvm::stable_sort(ranges,
                    [](const cp::OwnedRange &a, const cp::OwnedRange &b) {
                      return a.owner < b.owner;
                    });
}

ArrayRef<cp::OwnedRange> OwnedRanges::of(int64_t rank) const {
  const cp::OwnedRange *first = llvm::lower_bound(
      ranges, rank, [](const cp::OwnedRange &range, int64_t rank) {
        return range.owner < rank;
      });
  const cp::OwnedRange *last = llvm::upper_bound(
      ranges, rank, [](int64_t rank, const cp::OwnedRange &range) {
        return rank < range.owner;
      });
  return {first, last};
}

void OwnedRanges::forEachMissing(
    int64_t rank, int64_t begin, int64_t end,
    function_ref<void(int64_t, int64_t)> visit) const {
  for (const cp::OwnedRange &owned : of(rank)) {
    if (owned.end <= begin)
      continue;
    if (owned.begin >= end)
      break;
    if (begin < owned.begin)
      visit(begin, owned.begin);
    begin = owned.end;
  }
  if (begin < end)
    visit(begin, end);
}

} // namespace flashcp

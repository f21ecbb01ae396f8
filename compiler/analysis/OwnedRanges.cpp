#include "compiler/analysis/OwnedRanges.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"

using namespace mlir;

namespace flashcp {

OwnedRanges::OwnedRanges(cp::ShardOp shard) {
  ArrayRef<int32_t> owners = shard.getOwners();
  ArrayRef<int64_t> bounds = shard.getBounds();
  SmallVector<int32_t> order =
      llvm::to_vector(llvm::seq<int32_t>(0, owners.size()));
  llvm::stable_sort(
      order, [&](int32_t a, int32_t b) { return owners[a] < owners[b]; });
  for (int32_t i : order) {
    ranks.push_back(owners[i]);
    spans.push_back({bounds[i], bounds[i + 1]});
  }
}

ArrayRef<TokenSpan> OwnedRanges::of(int64_t rank) const {
  auto [first, last] = std::equal_range(ranks.begin(), ranks.end(), rank);
  return ArrayRef(spans).slice(first - ranks.begin(), last - first);
}

void OwnedRanges::forEachMissing(int64_t rank, int64_t begin, int64_t end,
                                 function_ref<void(TokenSpan)> visit) const {
  for (TokenSpan owned : of(rank)) {
    if (owned.end <= begin)
      continue;
    if (owned.begin >= end)
      break;
    if (begin < owned.begin)
      visit({begin, owned.begin});
    begin = owned.end;
  }
  if (begin < end)
    visit({begin, end});
}

} // namespace flashcp

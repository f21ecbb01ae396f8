// Which ranges of a document each rank owns: a shard, looked up by rank instead
// of by position.

#ifndef FLASHCP_COMPILER_ANALYSIS_OWNEDRANGES_H
#define FLASHCP_COMPILER_ANALYSIS_OWNEDRANGES_H

#include "dialects/cp/CP.h"

namespace flashcp {

struct TokenSpan {
  int64_t begin;
  int64_t end;
};

/// The spans of one document by owner, each owner's in increasing position.
/// Cost: O(S log S) once for S spans, O(log S) a lookup.
class OwnedRanges {
public:
  explicit OwnedRanges(cp::ShardOp shard);

  /// The spans that `rank` owns.
  llvm::ArrayRef<TokenSpan> of(int64_t rank) const;

  /// Calls `visit` with each span of [begin, end) that `rank` does not own.
  void forEachMissing(int64_t rank, int64_t begin, int64_t end,
                      llvm::function_ref<void(TokenSpan)> visit) const;

private:
  llvm::SmallVector<int32_t> ranks; // sorted, parallel to spans
  llvm::SmallVector<TokenSpan> spans;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_OWNEDRANGES_H

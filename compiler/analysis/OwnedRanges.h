// Looks up which token ranges of a document a rank owns: a shard by rank
// instead of by position.

#ifndef FLASHCP_COMPILER_ANALYSIS_OWNEDRANGES_H
#define FLASHCP_COMPILER_ANALYSIS_OWNEDRANGES_H

#include "dialects/cp/CP.h"

namespace flashcp {

/// The owned ranges of one document by owner, each owner's in increasing
/// position. Cost: O(S log S) once for S ranges, O(log S) a lookup.
class OwnedRanges {
public:
  OwnedRanges() = default;
  explicit OwnedRanges(cp::ShardOp shard);

  /// Returns the ranges that `rank` owns.
  llvm::ArrayRef<cp::OwnedRange> of(int64_t rank) const;

  /// Calls `visit(begin, end)` for each part of [begin, end) that `rank` does
  /// not own.
  void forEachMissing(int64_t rank, int64_t begin, int64_t end,
                      llvm::function_ref<void(int64_t, int64_t)> visit) const;

private:
  llvm::SmallVector<cp::OwnedRange> ranges; // by owner and position
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_OWNEDRANGES_H

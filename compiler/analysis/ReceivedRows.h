// Cuts what a rank receives into stages.

#ifndef FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H
#define FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H

#include "dialects/cp/CPEntries.h"
#include <vector>

namespace flashcp {

/// Tokens that a rank receives, and in which stage. [freshBegin, end) are those
/// that no earlier range brings; without cp-coalesce-transfers ranges may
/// overlap, and a tile must read a key once.
struct StagedRange : cp::ReceivedRange {
  int64_t freshBegin = begin;
  int64_t stage = 1;
};

/// The first token of a stage: document and position.
using Cut = std::pair<int64_t, int64_t>;

/// Puts ranges in order of document and position and marks what overlaps with
/// earlier ones.
void markFresh(llvm::MutableArrayRef<StagedRange> received);

/// Joins ranges of one stage that touch or overlap, whoever sends them, given
/// in order of document and position.
llvm::SmallVector<StagedRange> joinRanges(llvm::ArrayRef<StagedRange> received);

/// Returns where the stages of each rank begin, of about equally many rows,
/// given what each receives. Ranks of a node begin each stage at the same token
/// if rows are relayed, so that a relay receives in a stage what it sends on in
/// it.
std::vector<llvm::SmallVector<Cut>>
cutsOf(llvm::ArrayRef<llvm::SmallVector<StagedRange>> received, bool relayed,
       int64_t ranksPerNode, int64_t stages);

/// Cuts received rows where stages begin.
llvm::SmallVector<StagedRange>
cutIntoStages(llvm::ArrayRef<StagedRange> received, llvm::ArrayRef<Cut> cuts);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H

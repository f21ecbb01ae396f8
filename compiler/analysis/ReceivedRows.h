// Cuts what a rank receives into stages.

#ifndef FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H
#define FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H

#include "compiler/analysis/BatchAnalysis.h"
#include <vector>

namespace flashcp {

/// Tokens that a rank receives, and in which stage. [freshBegin, end) are those
/// that no earlier range brings; without cp-coalesce-transfers ranges may
/// overlap, and a tile must read a key once.
struct StagedRange : cp::ReceivedRange {
  int64_t freshBegin = begin;
  int64_t stage = 1;
};

/// Puts ranges in order of document and position and marks what overlaps with
/// earlier ones.
void markFresh(llvm::MutableArrayRef<StagedRange> received);

/// Joins ranges of one stage that touch or overlap, whoever sends them, given
/// in order of document and position.
llvm::SmallVector<StagedRange> joinRanges(llvm::ArrayRef<StagedRange> received);

/// Returns what the transfers bring each rank, in order of document and
/// position.
std::vector<llvm::SmallVector<StagedRange>>
receivedRows(cp::BatchOp batch, const BatchAnalysis &analysis);

/// Rows of one owner that a node receives in one stage.
struct StagedPart {
  StagedRange range;
  int64_t owner;
};

/// Which stage brings which rows: the rows that a node receives of each owner
/// are cut by the rules of compiler/solver/row_stage.h, alike for all ranks of
/// the node, so that a relay receives in a stage what it sends on in it.
class RowStages {
public:
  /// Takes what each rank receives.
  RowStages(const BatchAnalysis &analysis,
            std::vector<llvm::SmallVector<StagedRange>> received,
            int64_t numStages);

  /// Returns what a rank receives, cut into stages.
  llvm::SmallVector<StagedRange> cut(int64_t rank) const;

  /// Returns what the ranks of a node receive, each row once, in order of
  /// document and position.
  llvm::ArrayRef<StagedPart> partsOf(int64_t node) const { return parts[node]; }

private:
  std::vector<llvm::SmallVector<StagedRange>> received;
  int64_t ranksPerNode;
  std::vector<std::vector<StagedPart>> parts; // by node
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H

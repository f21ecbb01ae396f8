// Received rows and where they are cut into stages.

#ifndef FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H
#define FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>
#include <vector>

namespace flashcp {

/// Rows that a rank receives. [freshBegin, end) are those that no earlier range
/// brings; without cp-coalesce-transfers ranges may overlap, and a tile must
/// read a key once.
struct Received {
  int64_t document, begin, end, freshBegin, via;
  int64_t stage = 1;
};

/// The first token of a stage: document and position.
using Cut = std::pair<int64_t, int64_t>;

/// Puts ranges in order of document and position and marks what overlaps with
/// earlier ones.
void markFresh(llvm::MutableArrayRef<Received> received);

/// Joins ranges of one stage that touch or overlap, whoever sends them; they
/// are in order of document and position.
llvm::SmallVector<Received> joinRanges(llvm::ArrayRef<Received> received);

/// Where the stages of each rank begin, of about equally many rows, given what
/// each receives. Ranks of a node begin each stage at the same token, if rows
/// are relayed: so what a relay forwards in a stage is what it receives in it.
std::vector<llvm::SmallVector<Cut>>
cutsOf(llvm::ArrayRef<llvm::SmallVector<Received>> received, bool relayed,
       int64_t ranksPerNode, int64_t stages);

/// Cuts received rows where stages begin.
llvm::SmallVector<Received> cutIntoStages(llvm::ArrayRef<Received> received,
                                          llvm::ArrayRef<Cut> cuts);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_RECEIVEDROWS_H

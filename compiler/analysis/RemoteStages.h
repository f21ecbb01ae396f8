// The remote stages of a program: what a stage receives, from owners and from
// relays, and the rows that this makes.

#ifndef FLASHCP_COMPILER_ANALYSIS_REMOTESTAGES_H
#define FLASHCP_COMPILER_ANALYSIS_REMOTESTAGES_H

#include "dialects/cp/CP.h"
#include "llvm/ADT/BitVector.h"

namespace flashcp {

struct RemoteStage {
  cp::ExchangeOp exchange;
  cp::RelayOp forward; // null where the batch has no relays
  /// The stage whose buffers hold the rows: itself, or, where stages bring the
  /// same rows head by head, the one that brings the first heads.
  int64_t rowsStage;

  bool hasOwnRows() { return rowsStage == int64_t(exchange.getStage()); }
  int64_t numHeads() { return exchange.getHeadEnd() - exchange.getHeadBegin(); }
};

/// The stages of a program from stage 1 on.
llvm::SmallVector<RemoteStage> remoteStagesOf(cp::ProgramOp program);

/// The tokens that the remote buffers of a stage hold, in the order of their
/// rows: document, begin, end of each range. Without relays the ranges of the
/// exchange as they are; with relays those of both, ranges that touch joined.
llvm::SmallVector<int64_t> heldTokens(const RemoteStage &stage);

/// Those of the ranges that belong to documents which are kept (`wanted`), or
/// to those which are not.
llvm::SmallVector<int64_t> tokensOf(llvm::ArrayRef<int64_t> held,
                                    const llvm::BitVector &kept, bool wanted);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_REMOTESTAGES_H

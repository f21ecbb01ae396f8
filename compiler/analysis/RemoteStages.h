// Reads the remote stages of a program: what a stage receives, from owners and
// from relays, and the rows that this makes.

#ifndef FLASHCP_COMPILER_ANALYSIS_REMOTESTAGES_H
#define FLASHCP_COMPILER_ANALYSIS_REMOTESTAGES_H

#include "dialects/cp/CP.h"

namespace flashcp {

struct RemoteStage {
  cp::ExchangeOp exchange;
  cp::ExchangeOp relayed; // null if the batch has no relays

  int64_t number() { return exchange.getStage(); }
};

/// Returns the stages of a program from stage 1 on.
llvm::SmallVector<RemoteStage> remoteStagesOf(cp::ProgramOp program);

/// Returns the tokens that the buffers of a stage hold, in the order of their
/// rows: those that are saved for backward, or those that are not. Without
/// relays these are the ranges of the exchange; with relays those of both
/// exchanges, ranges that touch joined.
llvm::SmallVector<cp::TokenRange> heldTokens(const RemoteStage &stage,
                                             bool saved);

/// Returns the rows of token ranges.
template <typename Ranges> int64_t countRows(const Ranges &ranges) {
  int64_t rows = 0;
  for (const auto &range : ranges)
    rows += range.size();
  return rows;
}

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_REMOTESTAGES_H

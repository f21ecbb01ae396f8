// cp-coalesce-transfers: what one rank receives of a document becomes disjoint
// ranges in one op, so that a row goes to a rank once.

#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_COALESCETRANSFERS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Transfers that may become one: same document, tensor and heads.
using TransferKey = std::tuple<Value, cp::Tensor, int64_t, int64_t>;

/// Sorts by receiver and position and merges ranges that overlap or touch.
SmallVector<cp::MovedRange> mergeRanges(SmallVector<cp::MovedRange> ranges) {
  llvm::sort(ranges, [](const cp::MovedRange &a, const cp::MovedRange &b) {
    return std::tie(a.receiver, a.relay, a.begin, a.end) <
           std::tie(b.receiver, b.relay, b.begin, b.end);
  });
  SmallVector<cp::MovedRange> merged;
  for (const cp::MovedRange &range : ranges) {
    if (!merged.empty() && merged.back().receiver == range.receiver &&
        merged.back().relay == range.relay && range.begin <= merged.back().end)
      merged.back().end = std::max(merged.back().end, range.end);
    else
      merged.push_back(range);
  }
  return merged;
}

struct CoalesceTransfersPass
    : impl::CoalesceTransfersBase<CoalesceTransfersPass> {
  using CoalesceTransfersBase::CoalesceTransfersBase;

  void runOnOperation() override {
    if (failed(
            requirePhase(getOperation(), Phase::communicating, getArgument())))
      return signalPassFailure();
    llvm::MapVector<TransferKey, SmallVector<cp::TransferOp>> groups;
    for (auto transfer : getOperation().getBody().getOps<cp::TransferOp>())
      groups[{transfer.getSharded(), transfer.getTensor(),
              int64_t(transfer.getHeadBegin()), int64_t(transfer.getHeadEnd())}]
          .push_back(transfer);
    for (auto &[key, transfers] : groups)
      coalesce(transfers);
  }

  /// Puts the merged ranges of all transfers into the first one.
  void coalesce(ArrayRef<cp::TransferOp> transfers) {
    SmallVector<cp::MovedRange> ranges;
    for (cp::TransferOp transfer : transfers)
      llvm::append_range(ranges, transfer.getRanges());
    size_t before = ranges.size();
    SmallVector<cp::MovedRange> merged = mergeRanges(std::move(ranges));
    cp::TransferOp first = transfers.front();
    first.setRanges(merged);
    for (cp::TransferOp transfer : transfers.drop_front())
      transfer.erase();
    numMerged += before - merged.size();
  }
};

} // namespace
} // namespace flashcp

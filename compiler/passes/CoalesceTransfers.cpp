// cp-coalesce-transfers: what one rank receives of a document becomes disjoint
// ranges in one op, so that a row goes to a rank once.

#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_COALESCETRANSFERS
#include "compiler/passes/Passes.h.inc"

namespace {

struct Received {
  int64_t rank, via, begin, end;
  bool operator<(const Received &other) const {
    return std::tie(rank, via, begin, end) <
           std::tie(other.rank, other.via, other.begin, other.end);
  }
};

/// Transfers that may become one: same document, tensor and heads.
using TransferKey = std::tuple<Value, cp::Tensor, int64_t, int64_t>;

/// Sorts by rank and position and merges ranges that overlap or touch.
SmallVector<Received> mergeRanges(SmallVector<Received> ranges) {
  llvm::sort(ranges);
  SmallVector<Received> merged;
  for (const Received &range : ranges) {
    if (!merged.empty() && merged.back().rank == range.rank &&
        merged.back().via == range.via && range.begin <= merged.back().end)
      merged.back().end = std::max(merged.back().end, range.end);
    else
      merged.push_back(range);
  }
  return merged;
}

void appendRanges(cp::TransferOp transfer, SmallVector<Received> &ranges) {
  ArrayRef<int64_t> numbers = transfer.getRanges();
  for (size_t i = 0; i < numbers.size(); i += cp::kReceivedSize)
    ranges.push_back(
        {numbers[i + 2], numbers[i + 3], numbers[i], numbers[i + 1]});
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
    SmallVector<Received> ranges;
    for (cp::TransferOp transfer : transfers)
      appendRanges(transfer, ranges);
    size_t before = ranges.size();
    SmallVector<int64_t> numbers;
    for (const Received &range : mergeRanges(std::move(ranges)))
      numbers.append({range.begin, range.end, range.rank, range.via});
    cp::TransferOp first = transfers.front();
    first.setRanges(numbers);
    for (cp::TransferOp transfer : transfers.drop_front())
      transfer.erase();
    numMerged += before - numbers.size() / cp::kReceivedSize;
  }
};

} // namespace
} // namespace flashcp

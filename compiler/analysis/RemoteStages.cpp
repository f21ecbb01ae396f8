#include "compiler/analysis/RemoteStages.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

SmallVector<RemoteStage> remoteStagesOf(cp::ProgramOp program) {
  SmallVector<RemoteStage> stages;
  for (Operation &op : program.getBody().front())
    if (auto exchange = dyn_cast<cp::ExchangeOp>(op))
      stages.push_back({exchange, cp::RelayOp(),
                        exchange.getHeadBegin() == 0 || stages.empty()
                            ? int64_t(exchange.getStage())
                            : stages.back().rowsStage});
    else if (auto forward = dyn_cast<cp::RelayOp>(op);
             forward && !stages.empty())
      stages.back().forward = forward;
  return stages;
}

SmallVector<int64_t> heldTokens(const RemoteStage &stage) {
  cp::ExchangeOp exchange = stage.exchange;
  cp::RelayOp forward = stage.forward;
  ArrayRef<int64_t> own = exchange.getReceived();
  if (!forward || forward.getReceived().empty())
    return SmallVector<int64_t>(own);
  ArrayRef<int64_t> forwarded = forward.getReceived();
  SmallVector<int64_t> held;
  held.reserve(own.size() + forwarded.size());
  while (!own.empty() || !forwarded.empty()) {
    // Both are in order: document and begin decide which comes next.
    bool takeOwn = forwarded.empty() ||
                   (!own.empty() && std::pair(own[0], own[1]) <
                                        std::pair(forwarded[0], forwarded[1]));
    ArrayRef<int64_t> &from = takeOwn ? own : forwarded;
    if (!held.empty() && held[held.size() - 3] == from[0] &&
        held.back() == from[1])
      held.back() = from[2];
    else
      held.append(from.begin(), from.begin() + 3);
    from = from.drop_front(takeOwn ? cp::kTokenRangeSize : cp::kForwardedSize);
  }
  return held;
}

SmallVector<int64_t> tokensOf(ArrayRef<int64_t> held,
                              const llvm::BitVector &kept, bool wanted) {
  SmallVector<int64_t> tokens;
  for (size_t i = 0; i < held.size(); i += cp::kTokenRangeSize)
    if (kept[held[i]] == wanted)
      tokens.append(held.begin() + i, held.begin() + i + cp::kTokenRangeSize);
  return tokens;
}

} // namespace flashcp

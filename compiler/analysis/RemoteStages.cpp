// One walk over the exchanges of a program, and a merge of the two of a stage.

#include "compiler/analysis/RemoteStages.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

SmallVector<RemoteStage> remoteStagesOf(cp::ProgramOp program) {
  SmallVector<RemoteStage> stages;
  for (auto exchange : program.getBody().getOps<cp::ExchangeOp>()) {
    if (exchange.getRelayed() && !stages.empty()) {
      stages.back().relayed = exchange;
      continue;
    }
    stages.push_back({exchange, cp::ExchangeOp()});
  }
  return stages;
}

SmallVector<cp::TokenRange> heldTokens(const RemoteStage &stage, bool saved) {
  SmallVector<cp::TokenRange> held;
  auto hold = [&](const cp::ReceivedRange &range, bool join) {
    if (bool(range.saved) != saved)
      return;
    if (join && !held.empty() && held.back().document == range.document &&
        held.back().end == range.begin)
      held.back().end = range.end;
    else
      held.push_back(range.tokens());
  };
  ArrayRef<cp::ReceivedRange> direct =
      cp::ExchangeOp(stage.exchange).getReceived();
  ArrayRef<cp::ReceivedRange> relayed;
  if (stage.relayed)
    relayed = cp::ExchangeOp(stage.relayed).getReceived();
  bool join = !relayed.empty();
  while (!direct.empty() || !relayed.empty()) {
    // Both are in order: document and begin decide which comes next.
    bool takeDirect =
        relayed.empty() ||
        (!direct.empty() &&
         std::pair(direct.front().document, direct.front().begin) <
             std::pair(relayed.front().document, relayed.front().begin));
    ArrayRef<cp::ReceivedRange> &from = takeDirect ? direct : relayed;
    hold(from.front(), join);
    from = from.drop_front();
  }
  return held;
}

} // namespace flashcp

// cp-derive-backward: the backward pass of each program, from what its forward
// pass computes and exchanges.
//
// K/V rows travel again from the start on, gradients travel back as soon as
// they are complete. Some of the local tiles are done before the remote ones,
// while the first rows arrive, and the others after them, while the last
// gradients leave.

#include "compiler/analysis/BatchProblem.h"
#include "compiler/analysis/LocalSplit.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_DERIVEBACKWARD
#include "compiler/passes/Passes.h.inc"

namespace {

/// Builds the backward pass of one program.
class BackwardBuilder {
public:
  BackwardBuilder(cp::ProgramOp program, bool resends)
      : program(program), loc(program.getLoc()), resends(resends),
        stages(remoteStagesOf(program)),
        body(OpBuilder::atBlockEnd(&program.getBody().front())) {
    for (auto compute : program.getBody().getOps<cp::AttendOp>())
      computes.push_back(compute);
    auto backward = cp::BackwardOp::create(body, loc);
    body = OpBuilder::atBlockEnd(&backward.getBody().emplaceBlock());
  }

  /// `first` local tiles come before the remote stages.
  void build(int64_t first) {
    bool relayed = !stages.empty() && bool(stages.front().forward);
    int64_t numStages = stages.size();
    for (int64_t stage = 1; resends && stage <= numStages; ++stage) {
      cp::ResendOp::create(body, loc, stage, /*relayed=*/false);
      if (relayed)
        cp::ResendOp::create(body, loc, stage, /*relayed=*/true);
    }
    int64_t numLocal = numTiles(0);
    differentiate(0, 0, first);
    for (int64_t stage = 1; stage <= numStages; ++stage) {
      differentiate(stage, 0, numTiles(stage));
      if (!relayed) {
        cp::ExchangeGradientsOp::create(body, loc, stage, /*relayed=*/false);
        continue;
      }
      // What relays collect they add to what they return: one stage later,
      // when it has arrived.
      cp::ExchangeGradientsOp::create(body, loc, stage, /*relayed=*/true);
      if (stage > 1)
        passOn(stage - 1);
    }
    differentiate(0, first, numLocal);
    if (relayed)
      passOn(numStages);
    for (int64_t stage = 1; stage <= numStages; ++stage)
      cp::AddGradientsOp::create(body, loc, stage, /*relayed=*/false);
  }

private:
  int64_t numTiles(int64_t stage) {
    return computes[stage].getTiles().size() / cp::kStageTileSize;
  }

  void differentiate(int64_t stage, int64_t begin, int64_t end) {
    if (begin < end)
      cp::AttendBackwardOp::create(body, loc, stage, begin, end);
  }

  void passOn(int64_t stage) {
    cp::AddGradientsOp::create(body, loc, stage, /*relayed=*/true);
    cp::ExchangeGradientsOp::create(body, loc, stage, /*relayed=*/false);
  }

  cp::ProgramOp program;
  Location loc;
  bool resends; // some rows travel again
  SmallVector<RemoteStage> stages;
  SmallVector<cp::AttendOp> computes;
  OpBuilder body;
};

struct DeriveBackwardPass : impl::DeriveBackwardBase<DeriveBackwardPass> {
  using DeriveBackwardBase::DeriveBackwardBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::scheduled, getArgument())))
      return signalPassFailure();
    for (auto program : batch.getBody().getOps<cp::ProgramOp>())
      if (!program.getBody().getOps<cp::BackwardOp>().empty()) {
        program.emitOpError() << "has a backward pass already";
        return signalPassFailure();
      }
    FailureOr<LocalSplit> split = LocalSplit::create(batch);
    if (failed(split))
      return signalPassFailure();
    bool resends = !keptDocuments(batch).all();
    for (auto program : batch.getBody().getOps<cp::ProgramOp>())
      BackwardBuilder(program, resends).build(split->tilesBefore(program));
  }
};

} // namespace
} // namespace flashcp

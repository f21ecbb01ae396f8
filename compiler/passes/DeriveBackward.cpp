// cp-derive-backward: the backward pass of each program, from what its forward
// pass computes and exchanges.
//
// K/V rows travel again from the start on, gradients travel back as soon as
// they are complete. Some of the local tiles are done before the remote ones,
// while the first rows arrive, and the others after them, while the last
// gradients leave.

#include "compiler/analysis/BackwardOrder.h"
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
      : loc(program.getLoc()), resends(resends),
        stages(remoteStagesOf(program)),
        body(OpBuilder::atBlockEnd(&program.getBody().front())) {
    for (auto attend : program.getBody().getOps<cp::AttendOp>())
      numTiles.push_back(attend.getTiles().size());
    auto backward = cp::BackwardOp::create(body, loc);
    body = OpBuilder::atBlockEnd(&backward.getBody().emplaceBlock());
  }

  /// Builds all of it; `first` local tiles come before the remote stages.
  void build(int64_t first) {
    bool relayed = !stages.empty() && stages.front().relayed;
    int64_t numStages = stages.size();
    cp::ClearGradientsOp::create(body, loc);
    for (int64_t stage = 1; resends && stage <= numStages; ++stage) {
      cp::ResendOp::create(body, loc, stage, /*relayed=*/false);
      if (relayed)
        cp::ResendOp::create(body, loc, stage, /*relayed=*/true);
    }
    addTiles(0, 0, first);
    for (int64_t stage = 1; stage <= numStages; ++stage) {
      addTiles(stage, 0, numTiles[stage]);
      sendBack(stage, relayed);
      // Relays add what comes back to what they send back: one stage later,
      // when it has arrived.
      if (relayed && stage > 1)
        passOn(stage - 1);
    }
    addTiles(0, first, numTiles[0]);
    if (relayed)
      passOn(numStages);
    for (int64_t stage = 1; stage <= numStages; ++stage)
      cp::AddGradientsOp::create(body, loc, stage, /*relayed=*/false);
    cp::StoreGradientsOp::create(body, loc);
  }

private:
  void addTiles(int64_t stage, int64_t begin, int64_t end) {
    if (begin < end)
      cp::AttendBackwardOp::create(body, loc, stage, begin, end);
  }

  void sendBack(int64_t stage, bool relayed) {
    cp::PackGradientsOp::create(body, loc, stage, relayed);
    cp::ExchangeGradientsOp::create(body, loc, stage, relayed);
  }

  void passOn(int64_t stage) {
    cp::AddGradientsOp::create(body, loc, stage, /*relayed=*/true);
    sendBack(stage, /*relayed=*/false);
  }

  Location loc;
  bool resends; // some rows travel again
  SmallVector<RemoteStage> stages;
  SmallVector<int64_t> numTiles; // by stage
  OpBuilder body;
};

struct DeriveBackwardPass : impl::DeriveBackwardBase<DeriveBackwardPass> {
  using DeriveBackwardBase::DeriveBackwardBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::scheduled, getArgument())))
      return signalPassFailure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()) || failed(checkBatch(batch, analysis)))
      return signalPassFailure();
    LocalSplit split(analysis);
    bool resends = resendsRows(batch);
    for (auto program : batch.getBody().getOps<cp::ProgramOp>())
      BackwardBuilder(program, resends).build(split.tilesBefore(program));
  }

  /// The cost model takes a valid placement, and there is no backward pass yet.
  LogicalResult checkBatch(cp::BatchOp batch, const BatchAnalysis &analysis) {
    absl::Status status = analysis.placement().Verify(analysis.problem());
    if (!status.ok())
      return batch.emitOpError() << "C23: " << std::string(status.message());
    for (auto program : batch.getBody().getOps<cp::ProgramOp>())
      for (auto backward : program.getBody().getOps<cp::BackwardOp>()) {
        InFlightDiagnostic error = program.emitOpError()
                                   << "has a backward pass already";
        error.attachNote(backward.getLoc()) << "it is here";
        return error;
      }
    return success();
  }
};

} // namespace
} // namespace flashcp

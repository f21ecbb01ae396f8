// cp-derive-backward: the backward pass of each program, from what its forward
// pass computes and exchanges.
//
// K/V rows travel again as soon as a place is free, gradients travel back when they
// are complete. Some of the local tiles are done before the remote ones, while
// the first rows arrive, and the others after them, while the last gradients
// leave.

#include "compiler/analysis/BackwardOrder.h"
#include "compiler/analysis/LocalSplit.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/row_stage.h"

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
    int64_t numStages = stages.size();
    cp::ClearGradientsOp::create(body, loc, /*stage=*/0);
    resendBehind(0);
    addTiles(0, 0, first);
    for (int64_t stage = 1; stage <= numStages; ++stage) {
      cp::ClearGradientsOp::create(body, loc, stage);
      addTiles(stage, 0, numTiles[stage]);
      sendBack(stage);
      resendBehind(relayed() ? stage - 1 : stage);
    }
    // The last gradients leave in one or two hops, behind local tiles.
    int64_t behind = relayed() ? (first + numTiles[0]) / 2 : first;
    addTiles(0, first, behind);
    if (relayed())
      passOn(numStages);
    addTiles(0, behind, numTiles[0]);
    if (numStages > 0)
      add(numStages, /*relayed=*/false);
    cp::StoreGradientsOp::create(body, loc);
  }

private:
  /// Stages that are re-sent ahead: as many as take turns in places.
  static constexpr int64_t kAhead = solver::kKeyValueSlots;

  bool relayed() { return !stages.empty() && stages.front().relayed; }

  void addTiles(int64_t stage, int64_t begin, int64_t end) {
    if (begin < end)
      cp::AttendBackwardOp::create(body, loc, stage, begin, end);
  }

  /// Re-sends the stages whose places are free: gradients of the stages up to
  /// `returned` are on their way to the owners.
  void resendBehind(int64_t returned) {
    int64_t last = std::min<int64_t>(returned + kAhead, stages.size());
    for (; resends && numResent < last; ++numResent) {
      cp::ResendOp::create(body, loc, numResent + 1, /*relayed=*/false);
      if (relayed())
        cp::ResendOp::create(body, loc, numResent + 1, /*relayed=*/true);
    }
  }

  /// Sends the gradients of a stage back. What comes back lies where that of
  /// the stage before did, which is added first.
  void sendBack(int64_t stage) {
    cp::PackGradientsOp::create(body, loc, stage, relayed());
    if (relayed()) {
      // Relays add what comes back to what they send back: one stage later,
      // when it has arrived.
      if (stage > 1)
        add(stage - 1, /*relayed=*/true);
      cp::ExchangeGradientsOp::create(body, loc, stage, /*relayed=*/true);
      if (stage > 1)
        sendOn(stage - 1);
      return;
    }
    if (stage > 1)
      add(stage - 1, /*relayed=*/false);
    cp::ExchangeGradientsOp::create(body, loc, stage, /*relayed=*/false);
  }

  /// Adds what came back to relays, and sends that on to the owners.
  void passOn(int64_t stage) {
    add(stage, /*relayed=*/true);
    sendOn(stage);
  }

  void sendOn(int64_t stage) {
    cp::PackGradientsOp::create(body, loc, stage, /*relayed=*/false);
    if (stage > 1)
      add(stage - 1, /*relayed=*/false);
    cp::ExchangeGradientsOp::create(body, loc, stage, /*relayed=*/false);
  }

  void add(int64_t stage, bool relayed) {
    cp::AddGradientsOp::create(body, loc, stage, relayed);
  }

  Location loc;
  bool resends; // some rows travel again
  SmallVector<RemoteStage> stages;
  SmallVector<int64_t> numTiles; // by stage
  int64_t numResent = 0;         // stages
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

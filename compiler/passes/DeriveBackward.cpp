// cp-derive-backward: the backward pass of each program, from what its forward
// pass computes and exchanges.
//
// K/V rows travel again as soon as a place is free, gradients travel back when
// they are complete. Local tiles are done where the rank would wait otherwise:
// for rows, or for gradients that come back.

#include "compiler/analysis/BackwardOrder.h"
#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/LocalTiles.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/pacing.h"
#include "compiler/solver/row_stage.h"

#include <limits>

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_DERIVEBACKWARD
#include "compiler/passes/Passes.h.inc"

namespace {

/// Returns the local tiles of a program.
SmallVector<cp::StageTile> localTilesOf(cp::ProgramOp program) {
  SmallVector<cp::StageTile> tiles;
  for (auto attend : program.getBody().getOps<cp::AttendOp>())
    if (attend.getStage() == 0)
      llvm::append_range(tiles, attend.getTiles());
  return tiles;
}

/// Builds the backward pass of one program.
class BackwardBuilder {
public:
  /// `pace` holds the shares of the local tiles before each wait.
  BackwardBuilder(cp::ProgramOp program, bool resends,
                  const solver::Problem &problem, ArrayRef<double> pace)
      : loc(program.getLoc()), resends(resends),
        stages(remoteStagesOf(program)),
        local(localTilesOf(program), problem, LocalTiles::kBackward),
        pace(pace), body(OpBuilder::atBlockEnd(&program.getBody().front())) {
    attendTiles.resize(stages.size() + 1);
    for (auto attend : program.getBody().getOps<cp::AttendOp>())
      if (attend.getStage() < attendTiles.size())
        attendTiles[attend.getStage()].push_back(attend.getTiles().size());
    auto backward = cp::BackwardOp::create(body, loc);
    body = OpBuilder::atBlockEnd(&backward.getBody().emplaceBlock());
  }

  void build() {
    int64_t numStages = stages.size();
    cp::ClearGradientsOp::create(body, loc, /*stage=*/0);
    resendBehind(0);
    for (int64_t stage = 1; stage <= numStages; ++stage) {
      addLocalBeforeWait();
      cp::ClearGradientsOp::create(body, loc, stage);
      addTiles(stage, {0, std::numeric_limits<int64_t>::max()});
      sendBack(stage);
      resendBehind(relayed() ? stage - 1 : stage);
    }
    if (numStages > 0 && relayed())
      passOn(numStages);
    // The last gradients leave behind local tiles.
    addTiles(0, local.rest());
    if (numStages > 0)
      cp::AddGradientsOp::create(body, loc, numStages, /*relayed=*/false);
    cp::StoreGradientsOp::create(body, loc);
  }

private:
  /// Stages that are re-sent ahead: as many as take turns in places.
  static constexpr int64_t kAhead = solver::kKeyValueSlots;

  bool relayed() { return !stages.empty() && stages.front().relayed; }

  /// Adds tiles of a stage: a launch for each cp.attend that has some of them.
  void addTiles(int64_t stage, LocalTiles::Range tiles) {
    int64_t attendBegin = 0;
    for (int64_t size : attendTiles[stage]) {
      int64_t begin = std::max(tiles.begin, attendBegin);
      int64_t end = std::min(tiles.end, attendBegin + size);
      if (begin < end)
        cp::AttendBackwardOp::create(body, loc, stage, begin, end);
      attendBegin += size;
    }
  }

  void addLocalBeforeWait() {
    if (pace.empty())
      return; // the solver counts on relays, or on none
    addTiles(0, local.next(pace.front()));
    pace = pace.drop_front();
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
    addLocalBeforeWait();
    cp::AddGradientsOp::create(body, loc, stage, relayed);
  }

  Location loc;
  bool resends; // some rows travel again
  SmallVector<RemoteStage> stages;
  SmallVector<SmallVector<int64_t, 1>> attendTiles; // by stage and cp.attend
  LocalTiles local;
  ArrayRef<double> pace; // of the waits to come
  int64_t numResent = 0; // stages
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
    std::vector<std::vector<double>> paces = paceRanks(batch, analysis);
    bool resends = resendsRows(batch);
    for (auto program : batch.getBody().getOps<cp::ProgramOp>())
      BackwardBuilder(program, resends, analysis.problem(),
                      paces[program.getRank()])
          .build();
  }

  /// Returns the shares of local tiles before each wait, by rank.
  static std::vector<std::vector<double>>
  paceRanks(cp::BatchOp batch, const BatchAnalysis &analysis) {
    std::vector<bool> saved(analysis.documents().size());
    int64_t groups = 1, numStages = 0;
    for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
      groups = program.getHeadGroups();
      numStages = remoteStagesOf(program).size();
      for (auto exchange : program.getBody().getOps<cp::ExchangeOp>())
        for (const cp::ReceivedRange &range : exchange.getReceived())
          if (range.saved && range.document < int64_t(saved.size()))
            saved[range.document] = true;
    }
    return solver::PaceBackward(analysis.loads(), saved, groups, numStages);
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

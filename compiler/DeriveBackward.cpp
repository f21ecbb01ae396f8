// cp-derive-backward: the backward pass of each program, from what its forward
// pass computes and exchanges.
//
// K/V rows travel again from the start on, gradients travel back as soon as
// they are complete. Local tiles are done half before the remote ones, while
// the first rows arrive, and half after them, while the last gradients leave.

#include "compiler/BatchProblem.h"
#include "compiler/Passes.h"
#include "compiler/RemoteStages.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_DERIVEBACKWARD
#include "compiler/Passes.h.inc"

namespace {

/// Pairs of queries and keys of a tile, whatever its mask.
double areaOf(ArrayRef<int64_t> tile) {
  return double(tile[2] - tile[1]) * (tile[4] - tile[3]);
}

/// How many of the tiles make half of the work.
int64_t halfOf(ArrayRef<int64_t> tiles) {
  double total = 0, area = 0;
  for (size_t i = 0; i < tiles.size(); i += cp::kStageTileSize)
    total += areaOf(tiles.slice(i, cp::kStageTileSize));
  size_t i = 0;
  for (; i < tiles.size() && 2 * area < total; i += cp::kStageTileSize)
    area += areaOf(tiles.slice(i, cp::kStageTileSize));
  return i / cp::kStageTileSize;
}

/// Builds the backward pass of one program.
class BackwardBuilder {
public:
  BackwardBuilder(cp::ProgramOp program, bool resends)
      : program(program), loc(program.getLoc()), resends(resends),
        stages(remoteStagesOf(program)),
        body(OpBuilder::atBlockEnd(&program.getBody().front())) {
    for (auto compute : program.getBody().getOps<cp::ComputeOp>())
      computes.push_back(compute);
    auto backward = cp::BackwardOp::create(body, loc);
    body = OpBuilder::atBlockEnd(&backward.getBody().emplaceBlock());
  }

  void build() {
    bool relayed = !stages.empty() && bool(stages.front().forward);
    int64_t numStages = stages.size();
    for (int64_t stage = 1; resends && stage <= numStages; ++stage) {
      cp::ResendOp::create(body, loc, stage, /*relayed=*/false);
      if (relayed)
        cp::ResendOp::create(body, loc, stage, /*relayed=*/true);
    }
    int64_t numLocal = numTiles(0);
    int64_t first = resends && numStages > 0 ? halfOf(computes[0].getTiles())
                    : numStages > 0          ? 0
                                             : numLocal;
    differentiate(0, 0, first);
    for (int64_t stage = 1; stage <= numStages; ++stage) {
      differentiate(stage, 0, numTiles(stage));
      if (!relayed) {
        cp::ReturnOp::create(body, loc, stage, /*relayed=*/false);
        continue;
      }
      // What relays collect they add to what they return: one stage later,
      // when it has arrived.
      cp::ReturnOp::create(body, loc, stage, /*relayed=*/true);
      if (stage > 1)
        passOn(stage - 1);
    }
    differentiate(0, first, numLocal);
    if (relayed)
      passOn(numStages);
    for (int64_t stage = 1; stage <= numStages; ++stage)
      cp::CollectOp::create(body, loc, stage, /*relayed=*/false);
  }

private:
  int64_t numTiles(int64_t stage) {
    return computes[stage].getTiles().size() / cp::kStageTileSize;
  }

  void differentiate(int64_t stage, int64_t begin, int64_t end) {
    if (begin < end)
      cp::DifferentiateOp::create(body, loc, stage, begin, end);
  }

  void passOn(int64_t stage) {
    cp::CollectOp::create(body, loc, stage, /*relayed=*/true);
    cp::ReturnOp::create(body, loc, stage, /*relayed=*/false);
  }

  cp::ProgramOp program;
  Location loc;
  bool resends; // some rows travel again
  SmallVector<RemoteStage> stages;
  SmallVector<cp::ComputeOp> computes;
  OpBuilder body;
};

struct DeriveBackwardPass : impl::DeriveBackwardBase<DeriveBackwardPass> {
  using DeriveBackwardBase::DeriveBackwardBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    bool resends = llvm::any_of(
        documentsOf(batch), [](cp::DocumentOp op) { return !op.getKept(); });
    for (auto program : batch.getBody().getOps<cp::ProgramOp>())
      BackwardBuilder(program, resends).build();
  }
};

} // namespace
} // namespace flashcp

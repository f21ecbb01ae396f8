// cp-place-documents: a strategy of the solver decides who owns which tokens;
// queries are computed where they are owned.

#include "compiler/analysis/BatchProblem.h"
#include "compiler/analysis/Phase.h"
#include "compiler/emit/plan_size.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/strategies.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_PLACEDOCUMENTS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Writes the segments of a document as a shard.
cp::ShardOp buildShard(OpBuilder &builder, cp::DocumentOp document,
                       ArrayRef<solver::Segment> segments) {
  SmallVector<int64_t> bounds = {0};
  SmallVector<int32_t> owners;
  for (const solver::Segment &segment : segments) {
    bounds.push_back(segment.end);
    owners.push_back(segment.rank);
  }
  return cp::ShardOp::create(builder, document.getLoc(),
                             cp::ShardedType::get(builder.getContext()),
                             document, bounds, owners);
}

/// Writes one tile per segment: its queries against every key that they see.
void buildAttend(OpBuilder &builder, cp::ShardOp shard,
                 const model::Document &document, int64_t queryHeads,
                 ArrayRef<solver::Segment> segments) {
  SmallVector<int64_t> tiles;
  tiles.reserve(segments.size() * cp::kRankTileSize);
  for (const solver::Segment &segment : segments) {
    model::TokenRange keys =
        model::KeysNeeded(document, segment.begin, segment.end);
    tiles.append(
        {segment.begin, segment.end, keys.begin, keys.end, segment.rank});
  }
  cp::TilesOp::create(builder, shard.getLoc(), shard, /*head_begin=*/0,
                      queryHeads, tiles);
}

struct PlaceDocumentsPass : impl::PlaceDocumentsBase<PlaceDocumentsPass> {
  using PlaceDocumentsBase::PlaceDocumentsBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::problem, getArgument())))
      return signalPassFailure();
    FailureOr<solver::Problem> problem = problemOf(batch);
    if (failed(problem))
      return signalPassFailure();
    absl::StatusOr<solver::Placement> placement =
        solver::Place(batch.getStrategy().str(), *problem,
                      batch.getTimeBudgetMs().convertToDouble());
    if (!placement.ok()) {
      batch.emitOpError() << std::string(placement.status().message());
      return signalPassFailure();
    }
    size_t bytes = EstimatePlanBytes(*problem, *placement);
    if (bytes > kMaxPlanBytes) {
      batch.emitError() << PlanTooLarge(bytes);
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    for (auto [i, document] : llvm::enumerate(documentsOf(batch))) {
      ArrayRef<solver::Segment> segments = placement->documents[i];
      cp::ShardOp shard = buildShard(builder, document, segments);
      buildAttend(builder, shard, problem->documents[i], problem->heads.query,
                  segments);
    }
  }
};

} // namespace
} // namespace flashcp

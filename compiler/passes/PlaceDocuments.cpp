// cp-place-documents: a strategy of the solver decides who owns which tokens,
// unless the request does; queries are computed where they are owned.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/BatchRequest.h"
#include "compiler/analysis/Phase.h"
#include "compiler/emit/plan_size.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/place_for_schedule.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_PLACEDOCUMENTS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Writes the segments of a document as a shard.
cp::ShardOp buildShard(OpBuilder &builder, cp::DocumentOp document,
                       ArrayRef<solver::Segment> segments) {
  return cp::ShardOp::create(builder, document.getLoc(),
                             cp::ShardedType::get(builder.getContext()),
                             document,
                             ownersOf(builder.getContext(), segments));
}

/// Returns the keys of a segment's tile: those that its queries see, or one of
/// its own rows if they see none, since a tile writes their results.
model::TokenRange keysOf(const model::Document &document,
                         const solver::Segment &segment) {
  model::TokenRange keys =
      model::KeysNeeded(document, segment.begin, segment.end);
  if (keys.begin == keys.end)
    keys = {segment.begin, segment.begin + 1};
  return keys;
}

/// Writes one tile per segment: its queries against every key that they see.
void buildTiles(OpBuilder &builder, cp::ShardOp shard,
                const model::Document &document, int64_t queryHeads,
                ArrayRef<solver::Segment> segments) {
  SmallVector<cp::RankTile> tiles;
  tiles.reserve(segments.size());
  for (const solver::Segment &segment : segments) {
    model::TokenRange keys = keysOf(document, segment);
    tiles.push_back(
        {segment.begin, segment.end, keys.begin, keys.end, segment.rank});
  }
  cp::TilesOp::create(builder, shard.getLoc(), shard, /*head_begin=*/0,
                      queryHeads, tiles);
}

/// Returns the layout that was asked for, or what the strategy decides.
absl::StatusOr<solver::Placement> place(const CompileRequest &request) {
  if (request.layout)
    return *request.layout;
  return solver::PlaceForSchedule(
      request.strategy, request.problem, request.time_budget_ms,
      solver::LimitWithSavedRows(request.WorkspaceLimitBytes(),
                                 request.memory_budget_bytes));
}

struct PlaceDocumentsPass : impl::PlaceDocumentsBase<PlaceDocumentsPass> {
  using PlaceDocumentsBase::PlaceDocumentsBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::problem, getArgument())))
      return signalPassFailure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()))
      return signalPassFailure();
    const solver::Problem &problem = analysis.problem();
    absl::StatusOr<solver::Placement> placement = place(analysis.request());
    if (!placement.ok()) {
      batch.emitOpError() << std::string(placement.status().message());
      return signalPassFailure();
    }
    size_t bytes = EstimatePlanBytes(problem, *placement);
    if (bytes > kMaxPlanBytes) {
      batch.emitError() << PlanTooLarge(bytes);
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    for (auto [i, document] : llvm::enumerate(analysis.documents())) {
      ArrayRef<solver::Segment> segments = placement->documents[i];
      cp::ShardOp shard = buildShard(builder, document, segments);
      buildTiles(builder, shard, problem.documents[i], problem.heads.query,
                 segments);
    }
  }
};

} // namespace
} // namespace flashcp

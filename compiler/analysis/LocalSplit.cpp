// Reads the backward work of a program, in pairs and received rows, from the
// IR; the solver chooses the split.

#include "compiler/analysis/LocalSplit.h"

#include "compiler/analysis/RemoteStages.h"
#include "compiler/solver/local_split.h"

using namespace mlir;

namespace flashcp {

FailureOr<LocalSplit> LocalSplit::create(cp::BatchOp batch) {
  FailureOr<solver::Problem> problem = problemOf(batch);
  if (failed(problem))
    return failure();
  solver::Placement placement = placementOf(batch);
  if (absl::Status status = placement.Verify(*problem); !status.ok())
    return batch.emitOpError() << "C23: " << std::string(status.message());
  solver::PlacementCost cost = solver::Evaluate(*problem, placement);
  return LocalSplit(std::move(*problem), std::move(cost), keptDocuments(batch));
}

SmallVector<double> LocalSplit::pairsOf(cp::AttendOp attend) const {
  SmallVector<double> pairs;
  ArrayRef<int64_t> tiles = attend.getTiles();
  for (size_t i = 0; i < tiles.size(); i += cp::kStageTileSize) {
    ArrayRef<int64_t> tile = tiles.slice(i, cp::kStageTileSize);
    pairs.push_back(solver::AboutPairs(problem.documents[tile[0]].mask,
                                       {tile[1], tile[2]}, {tile[3], tile[4]}));
  }
  return pairs;
}

int64_t LocalSplit::tilesBefore(cp::ProgramOp program) const {
  solver::BackwardWork work;
  SmallVector<RemoteStage> stages = remoteStagesOf(program);
  for (auto [i, attend] :
       llvm::enumerate(program.getBody().getOps<cp::AttendOp>())) {
    SmallVector<double> pairs = pairsOf(attend);
    if (i == 0) {
      work.local_pairs.assign(pairs.begin(), pairs.end());
      continue;
    }
    solver::RemoteWork &remote = work.remote.emplace_back();
    for (double tile : pairs)
      remote.pairs += tile;
    SmallVector<int64_t> held = heldTokens(stages[i - 1]);
    for (size_t j = 0; j < held.size(); j += cp::kTokenRangeSize) {
      double rows =
          double(held[j + 2] - held[j + 1]) * stages[i - 1].numHeads();
      remote.rows += rows;
      if (kept[held[j]])
        remote.saved_rows += rows;
    }
  }
  return solver::LocalTilesFirst(work, cost.ranks[program.getRank()]);
}

} // namespace flashcp

// Reads the backward work of a program, in pairs and received rows, from the
// IR; the solver chooses the split.

#include "compiler/analysis/LocalSplit.h"

#include "compiler/analysis/RemoteStages.h"
#include "compiler/solver/local_split.h"

using namespace mlir;

namespace flashcp {

LocalSplit::LocalSplit(const BatchAnalysis &analysis)
    : problem(analysis.problem()),
      cost(solver::Evaluate(problem, analysis.placement())) {}

int64_t LocalSplit::tilesBefore(cp::ProgramOp program) const {
  solver::BackwardWork work;
  auto pairsOf = [&](const cp::StageTile &tile) {
    return model::CountPairs(problem.documents[tile.document].mask.band(),
                             {tile.queryBegin, tile.queryEnd},
                             {tile.keyBegin, tile.keyEnd});
  };
  SmallVector<RemoteStage> stages = remoteStagesOf(program);
  for (auto [i, attend] :
       llvm::enumerate(program.getBody().getOps<cp::AttendOp>())) {
    if (i == 0) {
      for (const cp::StageTile &tile : attend.getTiles())
        work.local_pairs.push_back(pairsOf(tile));
      continue;
    }
    RemoteStage &stage = stages[i - 1];
    solver::RemoteWork &remote = work.remote.emplace_back();
    for (const cp::StageTile &tile : attend.getTiles())
      remote.pairs += pairsOf(tile);
    remote.saved_rows = countRows(heldTokens(stage, /*saved=*/true));
    remote.rows =
        remote.saved_rows + countRows(heldTokens(stage, /*saved=*/false));
  }
  return solver::LocalTilesFirst(work, cost.ranks[program.getRank()]);
}

} // namespace flashcp

// One walk over the documents and one over the shards of a batch.

#include "compiler/analysis/BatchAnalysis.h"

#include "compiler/analysis/BatchRequest.h"
#include "compiler/solver/place_for_schedule.h"

using namespace mlir;

namespace flashcp {

BatchAnalysis::BatchAnalysis(Operation *op) : batch(cast<cp::BatchOp>(op)) {
  FailureOr<CompileRequest> found = requestOf(batch);
  valid = failure(failed(found));
  if (failed(found))
    return;
  batchRequest = *std::move(found);
  for (auto document : batch.getBody().getOps<cp::DocumentOp>()) {
    numbers.try_emplace(document, documentOps.size());
    documentOps.push_back(document);
  }
  addShards();
}

void BatchAnalysis::addShards() {
  batchPlacement.documents.resize(documentOps.size());
  ownedRanges.resize(documentOps.size());
  for (auto shard : batch.getBody().getOps<cp::ShardOp>()) {
    shardOps.push_back(shard);
    int64_t number = numberOf(shard.getDocumentOp());
    ownedRanges[number] = OwnedRanges(shard);
    batchPlacement.documents[number] = segmentsOf(shard.getOwned());
  }
}

const solver::StageLoads &BatchAnalysis::loads() const {
  if (!stageLoads)
    stageLoads.emplace(problem(), batchPlacement);
  return *stageLoads;
}

const absl::StatusOr<solver::Schedule> &BatchAnalysis::schedule() const {
  if (!chosen)
    chosen = solver::ChooseSchedule(
        loads(), solver::LimitWithSavedRows(batchRequest.WorkspaceLimitBytes(),
                                            batchRequest.memory_budget_bytes));
  return *chosen;
}

bool BatchAnalysis::isInvalidated(
    const AnalysisManager::PreservedAnalyses &) const {
  return size_t(llvm::range_size(
             cp::BatchOp(batch).getBody().getOps<cp::ShardOp>())) !=
         shardOps.size();
}

} // namespace flashcp

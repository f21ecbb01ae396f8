// Facts that passes ask of a batch again and again: its request, its placement,
// and who owns what. Made once by MLIR's analysis manager and kept between passes.

#ifndef FLASHCP_COMPILER_ANALYSIS_BATCHANALYSIS_H
#define FLASHCP_COMPILER_ANALYSIS_BATCHANALYSIS_H

#include "compiler/analysis/OwnedRanges.h"
#include "compiler/input/request.h"
#include "compiler/solver/schedule.h"
#include "mlir/Pass/AnalysisManager.h"
#include <optional>

namespace flashcp {

/// Facts of a cp.batch. Attributes and documents of a batch never change;
/// shards appear once, by cp-place-documents.
class BatchAnalysis {
public:
  /// Emits an error on the batch if it is not a request that the compiler takes
  /// (an unknown cluster, too many tokens); then status() is failure and no
  /// other member may be called.
  explicit BatchAnalysis(mlir::Operation *batch);

  mlir::LogicalResult status() const { return valid; }
  const CompileRequest &request() const { return batchRequest; }
  const solver::Problem &problem() const { return batchRequest.problem; }
  llvm::ArrayRef<cp::DocumentOp> documents() const { return documentOps; }

  /// Returns the number of a document, which is how layouts and tiles name it.
  int64_t numberOf(cp::DocumentOp document) const {
    return numbers.lookup(document);
  }

  // Valid for a placed batch:
  llvm::ArrayRef<cp::ShardOp> shards() const { return shardOps; }
  const solver::Placement &placement() const { return batchPlacement; }
  /// Returns the loads of stages, which hold for all schedules.
  const solver::StageLoads &loads() const;
  /// Returns the schedule that the solver chooses within the workspace limit,
  /// or why there is none.
  const absl::StatusOr<solver::Schedule> &schedule() const;
  /// Returns the ranges of a document by owner.
  const OwnedRanges &owned(int64_t document) const {
    return ownedRanges[document];
  }
  const OwnedRanges &owned(cp::ShardOp shard) const {
    return owned(numberOf(shard.getDocumentOp()));
  }

  /// Tells the analysis manager that only new shards make this stale.
  bool isInvalidated(const mlir::AnalysisManager::PreservedAnalyses &) const;

private:
  void addShards();

  cp::BatchOp batch;
  mlir::LogicalResult valid = mlir::success();
  CompileRequest batchRequest;
  llvm::SmallVector<cp::DocumentOp> documentOps;
  llvm::DenseMap<mlir::Operation *, int64_t> numbers;
  llvm::SmallVector<cp::ShardOp> shardOps;
  solver::Placement batchPlacement;
  std::vector<OwnedRanges> ownedRanges; // by document
  // When asked:
  mutable std::optional<solver::StageLoads> stageLoads;
  mutable std::optional<absl::StatusOr<solver::Schedule>> chosen;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_BATCHANALYSIS_H

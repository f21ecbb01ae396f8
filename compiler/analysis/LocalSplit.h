// Splits the local tiles of a backward program around its remote stages, by the
// cost model.

#ifndef FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H
#define FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H

#include "compiler/analysis/BatchProblem.h"
#include "compiler/solver/cost_model.h"

namespace flashcp {

/// Local tiles before the remote stages are computed while K/V rows arrive,
/// local tiles after them while the last gradients leave.
class LocalSplit {
public:
  /// Emits an error if the batch is not placed.
  static mlir::FailureOr<LocalSplit> create(cp::BatchOp batch);

  /// Returns the number of local tiles to run before the remote stages: see
  /// solver::LocalTilesFirst.
  int64_t tilesBefore(cp::ProgramOp program) const;

private:
  LocalSplit(solver::Problem problem, solver::PlacementCost cost,
             llvm::BitVector kept)
      : problem(std::move(problem)), cost(std::move(cost)),
        kept(std::move(kept)) {}

  /// Pairs of queries and keys of each tile.
  mlir::SmallVector<double> pairsOf(cp::AttendOp attend) const;

  solver::Problem problem;
  solver::PlacementCost cost;
  llvm::BitVector kept; // documents
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H

// How many local tiles of a backward pass come before the remote stages, by the
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
  /// Emits an error where the batch is not placed.
  static mlir::FailureOr<LocalSplit> create(cp::BatchOp batch);

  /// With this many of the local tiles first, the program is done first. Of
  /// equals one with about half of their work, which serves where the model is
  /// wrong too, or, where no rows travel again, with none; all, where nothing
  /// is remote.
  int64_t tilesBefore(cp::ProgramOp program) const;

private:
  LocalSplit(solver::PlacementCost cost,
             mlir::SmallVector<cp::DocumentOp> documents)
      : cost(std::move(cost)), documents(std::move(documents)) {}

  solver::PlacementCost cost;
  mlir::SmallVector<cp::DocumentOp> documents;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H

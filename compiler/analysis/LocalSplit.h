// Splits the local tiles of a backward program around its remote stages, by the
// cost model.

#ifndef FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H
#define FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/solver/cost_model.h"

namespace flashcp {

/// Local tiles before the remote stages are computed while K/V rows arrive,
/// local tiles after them while the last gradients leave.
class LocalSplit {
public:
  /// Takes the analysis of a placed batch, which must outlive this.
  explicit LocalSplit(const BatchAnalysis &analysis);

  /// Returns the number of local tiles to run before the remote stages: see
  /// solver::LocalTilesFirst.
  int64_t tilesBefore(cp::ProgramOp program) const;

private:
  const solver::Problem &problem;
  solver::PlacementCost cost;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_LOCALSPLIT_H

// Whether a set of attention tiles computes every pair that a mask allows
// exactly once.

#ifndef FLASHCP_COMPILER_ANALYSIS_COVERAGE_H
#define FLASHCP_COMPILER_ANALYSIS_COVERAGE_H

#include "compiler/solver/problem.h"
#include "dialects/cp/CPEntries.h"
#include <string>

namespace flashcp {

/// Returns what is wrong, or an empty string if the tiles cover each allowed
/// (query, key, head) of the document once. O(T log T) per distinct head range.
std::string checkCoverage(const model::Document &document, int64_t queryHeads,
                          llvm::SmallVector<cp::StageTile> tiles);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_COVERAGE_H

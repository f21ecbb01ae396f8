// Whether a set of attention tiles computes every pair that a mask allows
// exactly once.

#ifndef FLASHCP_COMPILER_ANALYSIS_COVERAGE_H
#define FLASHCP_COMPILER_ANALYSIS_COVERAGE_H

#include "compiler/solver/problem.h"
#include "mlir/Support/LLVM.h"
#include "llvm/ADT/SmallVector.h"
#include <string>

namespace flashcp {

/// A rectangle of queries, keys and query heads of one document.
struct CoverTile {
  int64_t queryBegin, queryEnd, keyBegin, keyEnd, headBegin, headEnd;
};

/// Empty where the tiles cover each allowed (query, key, head) of the document
/// once; otherwise what is wrong. O(T log T) per distinct head range.
std::string checkCoverage(const model::Document &document, int64_t queryHeads,
                          llvm::SmallVector<CoverTile> tiles);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_COVERAGE_H

// Which query rows of a program need an accumulator: those that more than one
// tile adds to.

#ifndef FLASHCP_COMPILER_ANALYSIS_SHAREDQUERIES_H
#define FLASHCP_COMPILER_ANALYSIS_SHAREDQUERIES_H

#include "dialects/cp/CP.h"

namespace flashcp {

/// Token ranges (document, begin, end), in order of document and position.
llvm::SmallVector<int64_t> sharedQueries(cp::ProgramOp program);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_SHAREDQUERIES_H

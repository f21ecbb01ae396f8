// Finds the query rows of a program that need an accumulator: those that more
// than one tile adds to.

#ifndef FLASHCP_COMPILER_ANALYSIS_SHAREDQUERIES_H
#define FLASHCP_COMPILER_ANALYSIS_SHAREDQUERIES_H

#include "dialects/cp/CP.h"

namespace flashcp {

/// Returns the shared queries in order of document and position.
llvm::SmallVector<cp::TokenRange> sharedQueries(cp::ProgramOp program);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_SHAREDQUERIES_H

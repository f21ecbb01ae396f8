// The border between the cp dialect and the solver: a batch as a problem,
// shards as a placement.

#ifndef FLASHCP_COMPILER_ANALYSIS_BATCHPROBLEM_H
#define FLASHCP_COMPILER_ANALYSIS_BATCHPROBLEM_H

#include "compiler/input/request.h"
#include "compiler/solver/problem.h"
#include "dialects/cp/CP.h"
#include "llvm/ADT/BitVector.h"

namespace flashcp {

/// Adds a batch in phase problem at the builder's insertion point.
cp::BatchOp buildBatch(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::StringRef name, const CompileRequest &request);

/// Returns the request that the batch was built from, which passes Check();
/// emits an error on the batch where there is none.
mlir::FailureOr<CompileRequest> requestOf(cp::BatchOp batch);

/// The batch as a problem that passed Check(); emits an error on the batch
/// where it is none (an unknown cluster, too many tokens).
mlir::FailureOr<solver::Problem> problemOf(cp::BatchOp batch);

/// The shards of a placed batch.
solver::Placement placementOf(cp::BatchOp batch);

/// The documents in their order, which is how layouts and tiles number them.
mlir::SmallVector<cp::DocumentOp> documentsOf(cp::BatchOp batch);

/// Which documents are kept, by number.
llvm::BitVector keptDocuments(cp::BatchOp batch);

/// The number of each document.
llvm::DenseMap<mlir::Operation *, int64_t> documentNumbers(cp::BatchOp batch);

/// The dtype of a batch: one of the three types that its verifier allows.
model::DType dtypeOf(mlir::Type type);

model::Document documentOf(cp::DocumentOp op);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_BATCHPROBLEM_H

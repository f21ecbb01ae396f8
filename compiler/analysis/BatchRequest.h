// The border between the cp dialect and the solver: a batch as a request.

#ifndef FLASHCP_COMPILER_ANALYSIS_BATCHREQUEST_H
#define FLASHCP_COMPILER_ANALYSIS_BATCHREQUEST_H

#include "compiler/input/request.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// Adds a batch in phase problem at the builder's insertion point.
cp::BatchOp buildBatch(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::StringRef name, const CompileRequest &request);

/// Returns the request that the batch was built from, which passes Check();
/// emits an error on the batch if there is none (an unknown cluster, too many
/// tokens).
mlir::FailureOr<CompileRequest> requestOf(cp::BatchOp batch);

/// Translate between the segments of a document and its owned ranges.
mlir::DenseI64ArrayAttr ownersOf(mlir::MLIRContext *context,
                                 llvm::ArrayRef<solver::Segment> segments);
std::vector<solver::Segment> segmentsOf(llvm::ArrayRef<cp::OwnedRange> owned);

/// Returns the dtype of a batch: one of the three types that its verifier
/// allows.
model::DType dtypeOf(mlir::Type type);

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_BATCHREQUEST_H

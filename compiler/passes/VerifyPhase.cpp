// cp-verify-phase: what must hold between ops at a phase boundary, constraints
// C20 to C33 of docs/dialect.md. Later passes assume it.

#include "compiler/analysis/PhaseRules.h"
#include "compiler/passes/Passes.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_VERIFYPHASE
#include "compiler/passes/Passes.h.inc"

namespace {

/// C20: the batch holds only ops of the phases up to now.
LogicalResult verifyOps(cp::BatchOp batch, StringRef phase) {
  for (Operation &op : batch.getBody().front()) {
    bool allowed = isa<cp::DocumentOp>(op) ||
                   (phase != "problem" && isa<cp::ShardOp>(op)) ||
                   ((phase == "placed" || phase == "communicating") &&
                    isa<cp::TilesOp>(op)) ||
                   (phase == "communicating" && isa<cp::TransferOp>(op)) ||
                   (phase == "scheduled" && isa<cp::ProgramOp>(op));
    if (!allowed)
      return op.emitOpError() << "C20: does not belong in phase " << phase;
  }
  return success();
}

struct VerifyPhasePass : impl::VerifyPhaseBase<VerifyPhasePass> {
  using VerifyPhaseBase::VerifyPhaseBase;

  void runOnOperation() override {
    if (failed(verify(getOperation())))
      signalPassFailure();
    markAllAnalysesPreserved();
  }

  LogicalResult verify(cp::BatchOp batch) {
    static constexpr StringRef kPhases[] = {"problem", "placed",
                                            "communicating", "scheduled"};
    if (!llvm::is_contained(kPhases, phase))
      return batch.emitOpError()
             << "phase must be problem, placed, communicating or scheduled, "
                "found '"
             << phase << "'";
    // Ops first: what holds between them is only defined for valid ones.
    if (failed(mlir::verify(batch)))
      return failure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()) || failed(verifyOps(batch, phase)))
      return failure();
    if (phase == "problem")
      return success();
    if (failed(verifyShards(batch, analysis)))
      return failure();
    if (phase == "placed")
      return verifyTiles(batch, analysis);
    return phase == "communicating" ? verifyTransfers(batch, analysis)
                                    : verifyPrograms(batch, analysis);
  }
};

} // namespace
} // namespace flashcp

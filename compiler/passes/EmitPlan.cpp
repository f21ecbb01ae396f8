// cp-emit-plan: writes a scheduled batch as a plan file.

#include "compiler/emit/EmitPlan.h"
#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

namespace flashcp {

#define GEN_PASS_DEF_EMITPLAN
#include "compiler/passes/Passes.h.inc"

namespace {

struct EmitPlanPass : impl::EmitPlanBase<EmitPlanPass> {
  using EmitPlanBase::EmitPlanBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::complete, getArgument())))
      return signalPassFailure();
    if (output.empty()) {
      batch.emitOpError() << "has nowhere to go: option output of "
                          << getArgument() << " names no file";
      return signalPassFailure();
    }
    mlir::FailureOr<Plan> plan = emitPlan(batch);
    if (failed(plan))
      return signalPassFailure();
    if (absl::Status status = plan->Save(output); !status.ok()) {
      batch.emitOpError() << std::string(status.message());
      return signalPassFailure();
    }
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace flashcp

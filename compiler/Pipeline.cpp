// The pipeline: which passes take a batch from problem to scheduled, in which
// order and why.

#include "compiler/Pipeline.h"

#include "compiler/passes/Passes.h"

#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

/// Checks the boundary that the passes before have reached.
static void addVerifyPhase(OpPassManager &batch, StringRef phase) {
  batch.addPass(flashcp::createVerifyPhase({phase.str()}));
}

void flashcp::buildCompilePipeline(OpPassManager &module) {
  OpPassManager &batch = module.nest<cp::BatchOp>();
  addVerifyPhase(batch, "problem");

  // Who owns what comes first: everything later is derived from it.
  batch.addPass(createPlaceDocuments());
  addVerifyPhase(batch, "placed");

  // Correct, then lean: the first pass moves what each tile reads, the second
  // sees to it that a row goes to a rank once, the third that it goes to a node
  // once.
  batch.addPass(createInsertTransfers());
  batch.addPass(createCoalesceTransfers());
  batch.addPass(createRelayTransfers());
  batch.addPass(createSaveDocuments());
  addVerifyPhase(batch, "communicating");

  // Buffers come after stages, since a stage is what a buffer belongs to. The
  // backward pass mirrors what is there by then.
  batch.addPass(createScheduleStages());
  batch.addPass(createAllocateBuffers());
  batch.addPass(createDeriveBackward());
  addVerifyPhase(batch, "scheduled");
}

void flashcp::registerCompiler() {
  registerPasses();
  PassPipelineRegistration<>(
      "cp-compile", "take every cp.batch from phase problem to scheduled",
      buildCompilePipeline);
}

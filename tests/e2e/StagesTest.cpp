// Plans are exact however rows arrive: in one stage or several, of rows or of
// heads, with and without relays and kept rows.

#include "compiler/analysis/BatchRequest.h"
#include "compiler/emit/EmitPlan.h"
#include "compiler/passes/Passes.h"
#include "gtest/gtest.h"
#include "mlir/Pass/PassManager.h"
#include "model/cluster.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/plan/verify.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_plan.h"

using namespace mlir;

namespace flashcp {
namespace {

using testing::TestBatch;
using testing::TestStep;

solver::Problem makeProblem(const model::Mask &mask, int ranksPerNode) {
  solver::Problem problem;
  for (int64_t length : {90, 0, 33, 7, 120, 64}) problem.documents.push_back({length, mask});
  problem.ranks = 6;
  problem.heads = {8, 4, 8};
  problem.dtype = model::DType::kF32;
  problem.cluster = *model::ClusterPreset("h100x8");
  problem.cluster.name = "nodes";
  problem.cluster.ranks_per_node = ranksPerNode;
  return problem;
}

FailureOr<Plan> makePlan(const CompileRequest &request, int64_t stages, bool byHeads) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.getOrLoadDialect<cp::CPDialect>();
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  buildBatch(builder, loc, "batch", request);
  PassManager pipeline(&context, ModuleOp::getOperationName());
  OpPassManager &batch = pipeline.nest<cp::BatchOp>();
  batch.addPass(createPlaceDocuments());
  batch.addPass(createInsertTransfers());
  batch.addPass(createCoalesceTransfers());
  batch.addPass(createRelayTransfers());
  batch.addPass(createKeepDocuments());
  batch.addPass(createScheduleStages({stages, byHeads}));
  batch.addPass(createAllocateBuffers());
  batch.addPass(createDeriveBackward());
  batch.addPass(createVerifyPhase({"scheduled"}));
  if (failed(pipeline.run(*module))) return failure();
  return emitPlan(*module->getBody()->getOps<cp::BatchOp>().begin());
}

void expectExact(const Plan &plan) {
  absl::Status verified = VerifyPlan(plan);
  ASSERT_TRUE(verified.ok()) << verified;
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), /*seed=*/3);
  absl::StatusOr<TestStep> step = testing::RunPlanBackward(plan, batch);
  ASSERT_TRUE(step.ok()) << step.status();
  testing::ExpectExactStep(batch, *step);
}

TEST(StagesTest, OfRowsAndOfHeads) {
  struct Stages {
    int64_t number;
    bool byHeads;
  };
  for (Stages stages : {Stages{1, false}, Stages{3, false}, Stages{2, true}, Stages{4, true}})
    for (const char *strategy : {"zigzag", "per-doc", "whole-doc"})
      for (const model::Mask &mask : {model::Mask::Causal(), model::Mask::Window(23)})
        for (int ranksPerNode : {8, 2})
          for (int64_t memoryBudget : {0, 20000}) {
            SCOPED_TRACE(std::string(strategy) + ", stages " + std::to_string(stages.number) +
                         ", by heads " + std::to_string(stages.byHeads) + ", ranks per node " +
                         std::to_string(ranksPerNode) + ", budget " + std::to_string(memoryBudget));
            CompileRequest request{makeProblem(mask, ranksPerNode), strategy};
            request.memory_budget_bytes = memoryBudget;
            FailureOr<Plan> plan = makePlan(request, stages.number, stages.byHeads);
            ASSERT_TRUE(succeeded(plan));
            expectExact(*plan);
          }
}

TEST(StagesTest, HeadsMustMakeEqualStages) {
  EXPECT_TRUE(failed(makePlan({makeProblem(model::Mask::Causal(), 8), "zigzag"},
                              /*stages=*/3, /*byHeads=*/true)));
}

}  // namespace
}  // namespace flashcp

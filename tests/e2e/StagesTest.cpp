// Plans are exact however rows arrive: in one stage or several, for all heads or
// group by group, with and without relays and saved rows.

#include "compiler/analysis/BatchRequest.h"
#include "compiler/emit/EmitPlan.h"
#include "compiler/passes/Passes.h"
#include "gtest/gtest.h"
#include "mlir/Pass/PassManager.h"
#include "model/cluster.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/plan/verify.h"
#include "tests/e2e/record_plans.h"
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

FailureOr<Plan> makePlan(const CompileRequest &request, int64_t stages, int64_t headGroups) {
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
  batch.addPass(createSaveDocuments());
  batch.addPass(createScheduleStages({stages, headGroups}));
  batch.addPass(createAllocateBuffers());
  batch.addPass(createDeriveBackward());
  batch.addPass(createVerifyPhase({"scheduled"}));
  if (failed(pipeline.run(*module))) return failure();
  return emitPlan(*module->getBody()->getOps<cp::BatchOp>().begin());
}

void expectExact(const Plan &plan) {
  absl::Status verified = VerifyPlan(plan);
  ASSERT_TRUE(verified.ok()) << verified;
  if (testing::RecordPlan(plan)) return;
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), /*seed=*/3);
  absl::StatusOr<TestStep> step = testing::RunPlanBackward(plan, batch);
  ASSERT_TRUE(step.ok()) << step.status();
  testing::ExpectExactStep(batch, *step);
}

TEST(StagesTest, RowsAndHeadGroups) {
  struct Shape {
    int64_t stages, headGroups;
  };
  for (Shape shape : {Shape{1, 1}, Shape{3, 1}, Shape{1, 4}, Shape{2, 2}, Shape{4, 2}, Shape{7, 4}})
    for (const char *strategy : {"zigzag", "per-doc", "whole-doc"})
      for (const model::Mask &mask : {model::Mask::Causal(), model::Mask::Window(23)})
        for (int ranksPerNode : {8, 2})
          for (int64_t memoryBudget : {0, 20000}) {
            SCOPED_TRACE(std::string(strategy) + ", stages " + std::to_string(shape.stages) +
                         ", head groups " + std::to_string(shape.headGroups) + ", ranks per node " +
                         std::to_string(ranksPerNode) + ", budget " + std::to_string(memoryBudget));
            CompileRequest request{makeProblem(mask, ranksPerNode), strategy};
            request.memory_budget_bytes = memoryBudget;
            FailureOr<Plan> plan = makePlan(request, shape.stages, shape.headGroups);
            ASSERT_TRUE(succeeded(plan));
            expectExact(*plan);
          }
}

TEST(StagesTest, HeadsMustMakeEqualGroups) {
  EXPECT_TRUE(failed(makePlan({makeProblem(model::Mask::Causal(), 8), "zigzag"},
                              /*stages=*/1, /*headGroups=*/3)));
}

}  // namespace
}  // namespace flashcp

// Without cp-coalesce-transfers the compiler makes a plan that moves rows
// twice, and the verifier tells; with the pass the plan is right.

#include "compiler/analysis/BatchRequest.h"
#include "compiler/emit/EmitPlan.h"
#include "compiler/passes/Passes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mlir/Pass/PassManager.h"
#include "model/cluster.h"
#include "runtime/plan/statistics.h"
#include "runtime/plan/verify.h"

using namespace mlir;

namespace flashcp {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Cut per document, each rank has two ranges of the first document, and keys
/// that both see. The second one is there to give ranks many more rows than
/// move: a message of more rows than its sender has would break P9 already.
CompileRequest makeRequest() {
  CompileRequest request;
  request.strategy = "per-doc";
  solver::Problem &problem = request.problem;
  problem.documents = {{40, {}}, {4000, model::Mask::Window(8)}};
  problem.ranks = 4;
  problem.heads = {4, 2, 8};
  problem.cluster = *model::ClusterPreset("h100x8");
  return request;
}

Plan makePlan(bool coalesce) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.getOrLoadDialect<cp::CPDialect>();
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  buildBatch(builder, loc, "batch", makeRequest());

  PassManager pipeline(&context, ModuleOp::getOperationName());
  OpPassManager &batch = pipeline.nest<cp::BatchOp>();
  batch.addPass(createPlaceDocuments());
  batch.addPass(createInsertTransfers());
  if (coalesce) batch.addPass(createCoalesceTransfers());
  batch.addPass(createScheduleStages());
  batch.addPass(createAllocateBuffers());
  batch.addPass(createDeriveBackward());
  EXPECT_TRUE(succeeded(pipeline.run(*module)));
  FailureOr<Plan> plan = emitPlan(*module->getBody()->getOps<cp::BatchOp>().begin());
  EXPECT_TRUE(succeeded(plan));
  return *plan;
}

TEST(NotCoalescedTest, RowsMoveTwiceAndTheVerifierTells) {
  Plan plan = makePlan(/*coalesce=*/false);
  Plan coalesced = makePlan(/*coalesce=*/true);
  EXPECT_TRUE(VerifyPlan(coalesced).ok()) << VerifyPlan(coalesced);
  absl::Status refused = VerifyPlan(plan);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(StartsWith("P14: "), HasSubstr("more than once")));
  EXPECT_GT(ComputeStatistics(plan).receive_bytes_total,
            ComputeStatistics(coalesced).receive_bytes_total);
}

}  // namespace
}  // namespace flashcp

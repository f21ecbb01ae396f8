// What CompileToIr prints is the whole program: read back in a new context, it
// verifies and gives the same plan.

#include "compiler/Pipeline.h"
#include "compiler/compile.h"
#include "compiler/emit/EmitPlan.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "model/cluster.h"

using namespace mlir;

namespace flashcp {
namespace {

solver::Problem makeProblem() {
  solver::Problem problem;
  for (int64_t length : {500, 0, 131, 1, 4000}) problem.documents.push_back({length, {}});
  problem.documents.push_back({700, model::Mask::Window(50)});
  problem.documents.push_back({70, model::Mask::Full()});
  problem.ranks = 3;
  problem.cluster = *model::ClusterPreset("h100x8");
  return problem;
}

TEST(CompileToIrTest, ReadsBackAsTheSamePlan) {
  Compiler compiler;
  for (const std::string &strategy : solver::StrategyNames()) {
    SCOPED_TRACE(strategy);
    absl::StatusOr<std::string> text = compiler.CompileToIr({makeProblem(), strategy});
    ASSERT_TRUE(text.ok()) << text.status();
    absl::StatusOr<Plan> plan = compiler.Compile({makeProblem(), strategy});
    ASSERT_TRUE(plan.ok()) << plan.status();

    MLIRContext context;
    context.getOrLoadDialect<cp::CPDialect>();
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(*text, &context);
    ASSERT_TRUE(module);
    EXPECT_TRUE(succeeded(verify(*module)));
    auto batches = module->getBody()->getOps<cp::BatchOp>();
    ASSERT_TRUE(llvm::hasSingleElement(batches));
    FailureOr<Plan> again = emitPlan(*batches.begin());
    ASSERT_TRUE(succeeded(again));
    EXPECT_EQ(again->hash(), plan->hash());
  }
}

}  // namespace
}  // namespace flashcp

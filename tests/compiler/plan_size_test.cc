// The estimate of a plan's size: never above what the plan holds, and of its order: stages and
// relays, which it does not know, cut tiles and messages further.

#include "compiler/emit/plan_size.h"

#include <string>

#include "compiler/compile.h"
#include "compiler/solver/place_for_schedule.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "model/cluster.h"
#include "runtime/plan/plan.h"

namespace flashcp {
namespace {

solver::Problem MakeProblem(const std::string& cluster, model::Exchange exchange) {
  solver::Problem problem;
  for (int64_t length : {5000, 0, 131, 1, 40000, 131, 900, 3000, 17, 260, 12000}) {
    problem.documents.push_back({length, {}});
  }
  problem.documents.push_back({700, model::Mask::Window(50)});
  problem.documents.push_back({70, model::Mask::Full()});
  problem.documents.push_back({2000, model::Mask({-90, 60})});
  problem.documents.push_back({500, model::Mask({300, 310})});
  problem.ranks = 20;
  problem.cluster = model::ClusterPreset(cluster).value();
  problem.exchange = exchange;
  return problem;
}

// Bytes of layouts, tiles and slices of the plan.
size_t TableBytes(const Plan& plan) {
  size_t bytes = 0;
  for (const fbs::RankPlan* rank : *plan->ranks()) {
    bytes += Items(rank->layout()).size() * sizeof(fbs::TokenRange) +
             Items(rank->forward()->tiles()).size() * sizeof(fbs::Tile) +
             Items(rank->forward()->slices()).size() * sizeof(fbs::Slice);
  }
  return bytes;
}

TEST(PlanSizeTest, EstimatesThePlanOfEveryStrategy) {
  Compiler compiler;
  for (const char* cluster : {"h100x8", "h100-ib8", "cpu"}) {
    for (auto exchange : {model::Exchange::kNeeded, model::Exchange::kAllGather}) {
      for (const std::string& strategy : solver::StrategyNames()) {
        SCOPED_TRACE(strategy + " on " + cluster);
        solver::Problem problem = MakeProblem(cluster, exchange);
        absl::StatusOr<Plan> plan = compiler.Compile({problem, strategy});
        ASSERT_TRUE(plan.ok()) << plan.status();
        absl::StatusOr<solver::Placement> placement =
            solver::PlaceForSchedule(strategy, problem, solver::kDefaultBudgetMs,
                                     CompileRequest{problem}.WorkspaceLimitBytes());
        ASSERT_TRUE(placement.ok()) << placement.status();
        size_t estimate = EstimatePlanBytes(problem, *placement);
        EXPECT_LE(estimate, TableBytes(*plan));
        EXPECT_GE(20 * estimate, TableBytes(*plan));  // stages multiply tiles and slices
      }
    }
  }
}

// Each document in 8192 segments of 4096 ranks: refused before there is an op for any of them.
TEST(PlanSizeTest, PlansThatNoFileHoldsAreRefused) {
  solver::Problem problem;
  problem.documents.assign(100, {8192, {}});
  problem.ranks = 4096;
  problem.cluster = model::ClusterPreset("h100x64").value();
  std::vector<StepTime> steps;
  Compiler compiler;
  absl::Status status = compiler.Compile({problem, "per-doc"}, &steps).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(status.message().substr(0, kPlanTooLarge.size()), kPlanTooLarge);
  EXPECT_EQ(status.message().find('\''), absl::string_view::npos) << "names an op: " << status;
  for (const StepTime& step : steps) EXPECT_NE(step.name, "cp-insert-transfers");
  EXPECT_TRUE(compiler.Compile({problem, "contiguous"}).ok());
}

}  // namespace
}  // namespace flashcp

// A plan gives back the request that it was made from: planned again, it is the same plan.

#include "session/request.h"

#include "compiler/compile.h"
#include "compiler/input/layout.h"
#include "gtest/gtest.h"
#include "session/timed_compiler.h"

namespace flashcp::session {
namespace {

CompileRequest MakeRequest() {
  CompileRequest request;
  request.strategy = "per-doc";
  request.time_budget_ms = 7;
  request.memory_budget_bytes = 1 << 16;
  request.scale = 0.3f;
  solver::Problem& problem = request.problem;
  problem.documents = {{700, {}}, {200, model::Mask::Full()}, {300, model::Mask::Window(64)}};
  problem.ranks = 4;
  problem.heads = {8, 2, 64};
  problem.dtype = model::DType::kF16;
  problem.exchange = model::Exchange::kAllGather;
  problem.slack_percent = 3;
  problem.cluster = *model::ClusterPreset("h100x8");
  return request;
}

TEST(RequestTest, PlansTheSameAgain) {
  TimedCompiler compiler;
  absl::StatusOr<TimedPlan> first = compiler.Compile(MakeRequest());
  ASSERT_TRUE(first.ok()) << first.status();
  absl::StatusOr<TimedPlan> again = compiler.Compile(RequestOf(first->plan));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->plan.bytes(), first->plan.bytes());
  EXPECT_FALSE(again->steps.empty());
}

// A plan on the layout of another one gives that layout back too, by its own rows.
TEST(RequestTest, PlansTheSameLayoutAgain) {
  TimedCompiler compiler;
  absl::StatusOr<TimedPlan> full = compiler.Compile(MakeRequest());
  ASSERT_TRUE(full.ok()) << full.status();
  CompileRequest request = MakeRequest();
  request.strategy = "auto";
  for (model::Document& document : request.problem.documents) {
    document.mask = model::Mask::Window(20);
  }
  ASSERT_EQ(TakeLayout(full->plan, &request), absl::OkStatus());
  absl::StatusOr<TimedPlan> first = compiler.Compile(request);
  ASSERT_TRUE(first.ok()) << first.status();
  absl::StatusOr<TimedPlan> again = compiler.Compile(RequestOf(first->plan));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->plan.bytes(), first->plan.bytes());
}

}  // namespace
}  // namespace flashcp::session

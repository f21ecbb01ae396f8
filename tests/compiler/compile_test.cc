// The compiler as a function: pure, clear about what it refuses, and its IR is text that reads
// back.

#include "compiler/compile.h"

#include <cmath>
#include <cstdint>
#include <string>

#include "compiler/solver/strategies.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/cluster.h"
#include "runtime/plan/statistics.h"
#include "runtime/plan/verify.h"

namespace flashcp {
namespace {

using ::testing::HasSubstr;

solver::Problem MakeProblem() {
  solver::Problem problem;
  for (int64_t length : {5000, 0, 131, 1, 40000, 131, 900}) {
    problem.documents.push_back({length, {}});
  }
  problem.documents.push_back({700, model::Mask::Window(50)});
  problem.documents.push_back({70, model::Mask::Full()});
  problem.cluster = model::ClusterPreset("h100x8").value();
  return problem;
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(CompileTest, FreshAndWarmCompilersGiveTheSameBytes) {
  Compiler warm;
  solver::Problem other = MakeProblem();
  other.documents.resize(3);
  for (const std::string& strategy : solver::StrategyNames()) {
    SCOPED_TRACE(strategy);
    absl::StatusOr<Plan> first = warm.Compile({MakeProblem(), strategy});
    ASSERT_TRUE(first.ok()) << first.status();
    absl::StatusOr<Plan> between = warm.Compile({other, strategy});
    ASSERT_TRUE(between.ok()) << between.status();
    EXPECT_NE(between->hash(), first->hash());
    absl::StatusOr<Plan> again = warm.Compile({MakeProblem(), strategy});
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(first->bytes() == again->bytes());
    Compiler fresh;
    absl::StatusOr<Plan> elsewhere = fresh.Compile({MakeProblem(), strategy});
    ASSERT_TRUE(elsewhere.ok()) << elsewhere.status();
    EXPECT_TRUE(first->bytes() == elsewhere->bytes());
  }
}

TEST(CompileTest, ThePlanSaysWhatWasAsked) {
  CompileRequest request{MakeProblem(), "whole-doc"};
  request.time_budget_ms = 7;
  request.memory_budget_bytes = 4096;
  request.scale = 0.25f;
  solver::Problem& problem = request.problem;
  problem.ranks = 5;
  problem.heads = {6, 3, 40};
  problem.dtype = model::DType::kF16;
  problem.exchange = model::Exchange::kAllGather;
  problem.slack_percent = 2.5;
  problem.cluster = model::ClusterPreset("cpu").value();
  absl::StatusOr<Plan> plan = Compiler().Compile(request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const fbs::Plan& root = **plan;
  EXPECT_EQ(root.strategy()->str(), "whole-doc");
  EXPECT_EQ(root.time_budget_ms(), 7);
  EXPECT_EQ(root.memory_budget_bytes(), 4096);
  EXPECT_EQ(root.scale(), 0.25f);
  EXPECT_EQ(plan->num_ranks(), 5);
  EXPECT_EQ(root.heads()->query(), 6);
  EXPECT_EQ(root.heads()->key_value(), 3);
  EXPECT_EQ(root.heads()->dim(), 40);
  EXPECT_EQ(root.dtype(), fbs::DType::f16);
  EXPECT_EQ(root.exchange(), fbs::Exchange::all_gather);
  EXPECT_EQ(root.slack_percent(), 2.5);
  EXPECT_EQ(root.cluster()->name()->str(), "cpu");
  ASSERT_EQ(root.documents()->size(), problem.documents.size());
  EXPECT_EQ(root.documents()->Get(4)->length(), 40000);
  EXPECT_EQ(root.documents()->Get(7)->band().lower(), -49);
  EXPECT_EQ(root.documents()->Get(7)->band().upper(), 0);
  EXPECT_EQ(root.documents()->Get(8)->band().lower(), model::Band::kNoLower);
  EXPECT_EQ(root.documents()->Get(8)->band().upper(), model::Band::kNoUpper);
}

// A scale that is given and is the default leaves no trace.
TEST(CompileTest, TheDefaultScaleIsThatOfTheHeadDimension) {
  CompileRequest request{MakeProblem(), "zigzag"};
  request.problem.heads.dim = 24;
  absl::StatusOr<Plan> plan = Compiler().Compile(request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ((*plan)->scale(), 1 / std::sqrt(24.0f));
  request.scale = 1 / std::sqrt(24.0f);
  absl::StatusOr<Plan> given = Compiler().Compile(request);
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->hash(), plan->hash());
  EXPECT_EQ(*Compiler().CompileToIr(request), *Compiler().CompileToIr({request.problem, "zigzag"}));
}

// Nothing to do is no error: a plan without documents, and one whose documents are all empty.
TEST(CompileTest, EmptyBatches) {
  Compiler compiler;
  for (int documents : {0, 3}) {
    solver::Problem problem = MakeProblem();
    problem.documents.assign(documents, {});
    for (const std::string& strategy : solver::StrategyNames()) {
      SCOPED_TRACE(strategy);
      absl::StatusOr<Plan> plan = compiler.Compile({problem, strategy});
      ASSERT_TRUE(plan.ok()) << plan.status();
      EXPECT_TRUE(VerifyPlan(*plan).ok()) << VerifyPlan(*plan);
      EXPECT_EQ(plan->num_ranks(), problem.ranks);
      EXPECT_EQ(ComputeStatistics(*plan).tokens, 0);
      EXPECT_EQ(ComputeStatistics(*plan).receive_bytes_total, 0);
    }
  }
}

TEST(CompileTest, UnknownStrategySuggestsTheNearest) {
  absl::Status status = Compiler().Compile({MakeProblem(), "zig-zag"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(status), HasSubstr("'zig-zag': did you mean 'zigzag'?"));
}

// Each with the text of Problem::Check; the compiler works on afterwards.
TEST(CompileTest, BadProblemsAreRefused) {
  Compiler compiler;
  auto refuse = [&](void (*spoil)(solver::Problem*)) {
    solver::Problem problem = MakeProblem();
    spoil(&problem);
    absl::Status expected = problem.Check();
    EXPECT_EQ(expected.code(), absl::StatusCode::kInvalidArgument) << expected;
    EXPECT_EQ(compiler.Compile({problem, "zigzag"}).status(), expected);
    EXPECT_EQ(compiler.CompileToIr({problem, "zigzag"}).status(), expected);
  };
  refuse([](solver::Problem* problem) { problem->ranks = 0; });
  refuse([](solver::Problem* problem) { problem->documents[2].length = -1; });
  refuse([](solver::Problem* problem) { problem->documents[2].length = model::kMaxTokens; });
  refuse([](solver::Problem* problem) { problem->documents[7].mask = model::Mask({5, -3}); });
  refuse([](solver::Problem* problem) { problem->heads.key_value = 5; });
  refuse([](solver::Problem* problem) { problem->heads.dim = 12; });
  refuse([](solver::Problem* problem) { problem->slack_percent = -1; });
  refuse([](solver::Problem* problem) { problem->cluster.intra_node.bytes_per_us = 0; });
  EXPECT_TRUE(compiler.Compile({MakeProblem(), "zigzag"}).ok());
}

}  // namespace
}  // namespace flashcp

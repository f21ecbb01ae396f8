// Several masks on one layout: every plan is exact, forward and backward, and puts every token
// where the first one does.

#include "compiler/input/layout.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/compile.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "runtime/plan/plan.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/random_lengths.h"

namespace flashcp {
namespace {

using Rows = std::vector<std::tuple<uint32_t, uint32_t, uint32_t>>;

// Returns the token ranges of a rank, in the order of its rows.
Rows RowsOf(const Plan& plan, int rank) {
  Rows rows;
  for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
    rows.emplace_back(range.document(), range.begin(), range.end());
  }
  return rows;
}

struct Case {
  int ranks;
  int ranks_per_node;
  testing::LengthKind lengths;
};

constexpr Case kCases[] = {
    {1, 1, testing::LengthKind::kMixed},       {2, 2, testing::LengthKind::kWithZero},
    {3, 3, testing::LengthKind::kOneDocument}, {4, 2, testing::LengthKind::kWithZero},
    {5, 1, testing::LengthKind::kFewTokens},   {6, 3, testing::LengthKind::kManyEqual},
    {7, 4, testing::LengthKind::kMixed},       {8, 2, testing::LengthKind::kWithZero},
};

class LayoutTest : public ::testing::TestWithParam<std::string> {};

TEST_P(LayoutTest, FurtherMasksAreExactOnTheSameRows) {
  Compiler compiler;
  uint64_t seed = 7;
  for (const Case& c : kCases) {
    const std::vector<int64_t> lengths = testing::RandomLengths(c.lengths, seed++, 60 * c.ranks);
    CompileRequest first{testing::SmallProblem(testing::Documents(lengths, {}), c.ranks),
                         GetParam()};
    first.problem.cluster.ranks_per_node = c.ranks_per_node;
    first.problem.cluster.name = "nodes";
    first.problem.slack_percent = c.ranks % 3 == 0 ? 10 : 0;
    absl::StatusOr<Plan> plan = compiler.Compile(first);
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (const model::Mask& mask : {model::Mask({-19, 6}), model::Mask::Full(), model::Mask()}) {
      SCOPED_TRACE(absl::StrCat(c.ranks, " ranks, ", c.ranks_per_node, " in a node, ",
                                model::MaskText(mask)));
      CompileRequest further = first;
      further.strategy = "auto";
      further.problem.documents = testing::Documents(lengths, mask);
      // Layers of another kind may have other heads.
      if (!(mask == model::Mask())) further.problem.heads = {3, 3, 16};
      if (mask == model::Mask::Full()) further.problem.exchange = model::Exchange::kAllGather;
      ASSERT_EQ(TakeLayout(*plan, &further), absl::OkStatus());
      testing::ExpectExactPlan(&compiler, further);
      absl::StatusOr<Plan> other = compiler.Compile(further);
      ASSERT_TRUE(other.ok()) << other.status();
      for (int rank = 0; rank < c.ranks; ++rank) {
        EXPECT_EQ(RowsOf(*other, rank), RowsOf(*plan, rank)) << "rank " << rank;
      }
    }
  }
}

std::string StrategyName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Strategies, LayoutTest, ::testing::ValuesIn(solver::StrategyNames()),
                         StrategyName);

// The layout of one mask, in little memory for the next: stages and head groups are those of the
// second, and the plan's rows still those of the first.
TEST(LayoutLimitTest, TheWorkspaceLimitHoldsOnALayout) {
  Compiler compiler;
  const std::vector<int64_t> lengths = {1500, 0, 400};
  CompileRequest first{
      testing::SmallProblem(testing::Documents(lengths, model::Mask::Window(30)), 4), "auto"};
  absl::StatusOr<Plan> plan = compiler.Compile(first);
  ASSERT_TRUE(plan.ok()) << plan.status();
  CompileRequest further = first;
  further.problem.documents = testing::Documents(lengths, model::Mask::Causal());
  ASSERT_EQ(TakeLayout(*plan, &further), absl::OkStatus());
  const CompileRequest least = testing::WithLeastLimit(&compiler, further);
  testing::ExpectExactPlan(&compiler, least);
  absl::StatusOr<Plan> staged = compiler.Compile(least);
  ASSERT_TRUE(staged.ok()) << staged.status();
  EXPECT_GT((*staged)->head_groups(), (*plan)->head_groups());
  for (int rank = 0; rank < 4; ++rank) EXPECT_EQ(RowsOf(*staged, rank), RowsOf(*plan, rank));
}

}  // namespace
}  // namespace flashcp

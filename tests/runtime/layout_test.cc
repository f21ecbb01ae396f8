// Scatter and gather between global order and the rows of ranks.

#include "runtime/layout.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

// Three documents, one of them empty, dealt to three ranks of which the last has nothing.
Plan MakePlan() {
  testing::ToyProblem problem;
  problem.documents = {{10, {{0, 4, 1}, {4, 5, 0}, {5, 10, 1}}}, {0, {}}, {3, {{0, 3, 0}}}};
  problem.ranks = 3;
  return testing::MakeToyPlan(problem);
}

TEST(LayoutTest, CountsTokens) {
  Plan plan = MakePlan();
  EXPECT_EQ(TotalTokens(plan), 13);
  EXPECT_EQ(RankTokens(plan, 0), 4);
  EXPECT_EQ(RankTokens(plan, 1), 9);
  EXPECT_EQ(RankTokens(plan, 2), 0);
}

TEST(LayoutTest, ScatterFollowsTheLayout) {
  Plan plan = MakePlan();
  std::vector<int32_t> global;
  for (int i = 0; i < 13; ++i) global.push_back(i);
  std::vector<int32_t> rank0(4);
  std::vector<int32_t> rank1(9);
  ScatterRows(plan, 0, sizeof(int32_t), global.data(), rank0.data());
  ScatterRows(plan, 1, sizeof(int32_t), global.data(), rank1.data());
  ScatterRows(plan, 2, sizeof(int32_t), global.data(), nullptr);
  EXPECT_EQ(rank0, (std::vector<int32_t>{4, 10, 11, 12}));
  EXPECT_EQ(rank1, (std::vector<int32_t>{0, 1, 2, 3, 5, 6, 7, 8, 9}));
}

TEST(LayoutTest, GatherUndoesScatter) {
  Plan plan = MakePlan();
  constexpr size_t kRowBytes = 6;
  std::vector<char> global;
  for (int i = 0; i < 13 * kRowBytes; ++i) global.push_back(static_cast<char>(i));
  std::vector<char> gathered(global.size(), -1);
  for (int rank = 0; rank < 3; ++rank) {
    std::vector<char> local(RankTokens(plan, rank) * kRowBytes);
    ScatterRows(plan, rank, kRowBytes, global.data(), local.data());
    GatherRows(plan, rank, kRowBytes, local.data(), gathered.data());
  }
  EXPECT_EQ(gathered, global);
}

}  // namespace
}  // namespace flashcp

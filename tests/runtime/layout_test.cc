// Scatter and gather between global order and the rows of ranks.

#include "runtime/layout.h"

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
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
  EXPECT_EQ(*RankTokens(plan, 0), 4);
  EXPECT_EQ(*RankTokens(plan, 1), 9);
  EXPECT_EQ(*RankTokens(plan, 2), 0);
}

TEST(LayoutTest, ScatterFollowsTheLayout) {
  Plan plan = MakePlan();
  std::vector<int32_t> global;
  for (int i = 0; i < 13; ++i) global.push_back(i);
  std::vector<int32_t> rank0(4);
  std::vector<int32_t> rank1(9);
  EXPECT_TRUE(ScatterRows(plan, 0, sizeof(int32_t), global, rank0).ok());
  EXPECT_TRUE(ScatterRows(plan, 1, sizeof(int32_t), global, rank1).ok());
  EXPECT_TRUE(ScatterRows(plan, 2, sizeof(int32_t), global, {}).ok());
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
    std::vector<char> local(*RankTokens(plan, rank) * kRowBytes);
    ASSERT_TRUE(ScatterRows(plan, rank, kRowBytes, global, local).ok());
    ASSERT_TRUE(GatherRows(plan, rank, kRowBytes, local, gathered).ok());
  }
  EXPECT_EQ(gathered, global);
}

TEST(LayoutTest, RowsKnowTheirPlace) {
  const Plan plan = MakePlan();
  std::vector<int64_t> values(4);
  EXPECT_TRUE(WriteTokenIndices(plan, 0, absl::MakeSpan(values)).ok());
  EXPECT_EQ(values, (std::vector<int64_t>{4, 10, 11, 12}));
  EXPECT_TRUE(WritePositionIds(plan, 0, absl::MakeSpan(values)).ok());
  EXPECT_EQ(values, (std::vector<int64_t>{4, 0, 1, 2}));
  EXPECT_TRUE(WriteDocumentIds(plan, 0, absl::MakeSpan(values)).ok());
  EXPECT_EQ(values, (std::vector<int64_t>{0, 2, 2, 2}));
  EXPECT_TRUE(WriteTokenIndices(plan, 2, {}).ok());
}

TEST(LayoutTest, MemoryIsThatOfTheRank) {
  const Plan plan = MakePlan();
  for (int rank = 0; rank < 3; ++rank) {
    const fbs::RankPlan& expected = *plan->ranks()->Get(rank);
    const RankMemory memory = *RankMemoryOf(plan, rank);
    EXPECT_EQ(memory.workspace, expected.workspace_bytes());
    EXPECT_EQ(memory.backward_workspace, expected.backward_workspace_bytes());
    EXPECT_EQ(memory.saved, expected.saved_bytes());
  }
}

TEST(LayoutTest, ARankThatThePlanDoesNotHaveIsNamed) {
  const Plan plan = MakePlan();
  std::vector<int64_t> values(4);
  for (int rank : {-1, 3}) {
    const absl::Status expected =
        absl::InvalidArgumentError(absl::StrCat("rank ", rank, ": the plan has ranks 0 to 2"));
    EXPECT_EQ(RankTokens(plan, rank).status(), expected);
    EXPECT_EQ(RankMemoryOf(plan, rank).status(), expected);
    EXPECT_EQ(WriteTokenIndices(plan, rank, absl::MakeSpan(values)), expected);
    EXPECT_EQ(ScatterRows(plan, rank, 1, {}, {}), expected);
    EXPECT_EQ(GatherRows(plan, rank, 1, {}, {}), expected);
  }
}

TEST(LayoutTest, SizesAreThoseOfThePlan) {
  const Plan plan = MakePlan();
  std::vector<int64_t> values(5);
  EXPECT_EQ(WritePositionIds(plan, 0, absl::MakeSpan(values)),
            absl::InvalidArgumentError("room for 5 values, rank 0 has 4 tokens"));
  std::vector<char> global(26), local(8);
  EXPECT_TRUE(ScatterRows(plan, 0, 2, global, local).ok());
  EXPECT_EQ(ScatterRows(plan, 0, 2, global, global),
            absl::InvalidArgumentError("tensor local: 26 bytes found, expected 4 rows of 2 bytes"));
  EXPECT_EQ(
      GatherRows(plan, 0, 2, local, local),
      absl::InvalidArgumentError("tensor global: 8 bytes found, expected 13 rows of 2 bytes"));
  EXPECT_EQ(GatherRows(plan, 0, 2, {nullptr, 8}, global),
            absl::InvalidArgumentError("tensor local: null found, expected 4 rows of 2 bytes"));
  // 4 rows of 2^62 + 2 bytes have 8 bytes in 64 bits.
  EXPECT_FALSE(GatherRows(plan, 0, (size_t{1} << 62) + 2, local, global).ok());
}

}  // namespace
}  // namespace flashcp

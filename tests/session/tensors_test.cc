// Tensors of a batch are random by seed, and reach the ranks and come back row by row.

#include "session/tensors.h"

#include "gtest/gtest.h"
#include "session/rank_tensors.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::session {
namespace {

TEST(RandomTensorsTest, SeedsChooseTheNumbers) {
  testing::ToyProblem problem;
  problem.documents = {{20, {{0, 20, 0}}}, {13, {{0, 13, 0}}}};
  problem.dtype = fbs::DType::bf16;
  Plan plan = testing::MakeToyPlan(problem);
  EXPECT_EQ(RandomTensors(plan, 1, false).query, RandomTensors(plan, 1, false).query);
  EXPECT_NE(RandomTensors(plan, 1, false).query, RandomTensors(plan, 2, false).query);
  BatchTensors tensors = RandomTensors(plan, 1, false);
  EXPECT_NE(tensors.key, tensors.value);
  EXPECT_EQ(tensors.key.size(), 33 * 2 * 8 * 2);
  EXPECT_EQ(tensors.output.size(), 33 * 4 * 8 * 2);
  EXPECT_EQ(tensors.lse.size(), 33 * 4 * 4);
}

TEST(RankTensorsTest, RowsGoToTheirOwnersAndBack) {
  testing::ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{12, {{0, 3, 0}, {3, 9, 1}, {9, 12, 0}}}};
  const Plan plan = testing::MakeToyPlan(problem);
  const BatchTensors batch = RandomTensors(plan, 1, /*backward=*/true);
  BatchTensors result = batch;
  for (int rank = 0; rank < 2; ++rank) {
    RankTensors local = *MakeRankTensors(plan, rank, /*backward=*/true);
    ASSERT_TRUE(ScatterBatch(plan, rank, batch, &local).ok());
    local.output = local.query;
    local.query_gradient = local.output_gradient;
    local.key_gradient = local.key;
    local.value_gradient = local.value;
    ASSERT_TRUE(GatherBatch(plan, rank, local, &result).ok());
  }
  EXPECT_EQ(result.output, batch.query);
  EXPECT_EQ(result.query_gradient, batch.output_gradient);
  EXPECT_EQ(result.key_gradient, batch.key);
  EXPECT_EQ(result.value_gradient, batch.value);
}

}  // namespace
}  // namespace flashcp::session

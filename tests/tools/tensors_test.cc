// The random tensors of `flashcp run`.

#include "tools/cli/tensors.h"

#include "gtest/gtest.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::cli {
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

}  // namespace
}  // namespace flashcp::cli

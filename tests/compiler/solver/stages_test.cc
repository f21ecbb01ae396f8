// The time of a backward program by its stages.

#include "compiler/solver/stages.h"

#include "gtest/gtest.h"

namespace flashcp::solver {
namespace {

// 10 rows arrive, tiles take 20, gradients leave in 10.
TEST(StagesTest, BackwardWaitsForRowsAndForGradients) {
  const std::vector<BackwardStage> one = {{10, 20, 10}};
  EXPECT_DOUBLE_EQ(BackwardUs(one, 0, 0), 40);
  EXPECT_DOUBLE_EQ(BackwardUs(one, 15, 0), 45);
  EXPECT_DOUBLE_EQ(BackwardUs(one, 10, 5), 40);
  EXPECT_DOUBLE_EQ(BackwardUs(one, 0, 15), 45);
  // The second stage's rows come first, its tiles and gradients last.
  const std::vector<BackwardStage> two = {{10, 5, 30}, {10, 5, 30}};
  EXPECT_DOUBLE_EQ(BackwardUs(two, 0, 0), 80);
  EXPECT_DOUBLE_EQ(BackwardUs(two, 40, 0), 105);
  EXPECT_DOUBLE_EQ(BackwardUs({}, 3, 4), 7);
}

}  // namespace
}  // namespace flashcp::solver

// Holds the split of local tiles around the remote stages of a backward program to the model.

#include "compiler/solver/local_split.h"

#include "compiler/solver/cost_model.h"
#include "gtest/gtest.h"

namespace flashcp::solver {
namespace {

// A pair takes 1 us, if the work has 100 pairs; all transfers of one direction take 40 us.
RankCost Cost() {
  RankCost cost;
  cost.compute_backward_us = 100;
  cost.transfer_backward_us = 80;
  return cost;
}

TEST(LocalSplitTest, AllTilesComeFirstIfNothingIsRemote) {
  EXPECT_EQ(LocalTilesFirst({{1, 2, 3}, {}}, Cost()), 3);
  EXPECT_EQ(LocalTilesFirst({{}, {}}, Cost()), 0);
}

// Rows arrive for 40 us and gradients leave for 40 us: 40 us of local work belong on either side.
TEST(LocalSplitTest, LocalWorkHidesRowsAndGradients) {
  const BackwardWork work = {{10, 10, 10, 10, 10, 10, 10, 10}, {{20, 5, 0}}};
  EXPECT_EQ(LocalTilesFirst(work, Cost()), 4);
}

// Saved rows do not travel: all local work hides the gradients.
TEST(LocalSplitTest, NoTileComesFirstIfAllRowsAreSaved) {
  const BackwardWork work = {{10, 10, 10, 10, 10, 10, 10, 10}, {{20, 5, 5}}};
  EXPECT_EQ(LocalTilesFirst(work, Cost()), 0);
}

// Transfers cost nothing, so every split is equal: half of the work, or none without a re-send.
TEST(LocalSplitTest, TiesGoToHalfOfTheLocalWork) {
  RankCost cost = Cost();
  cost.transfer_backward_us = 1e-9;
  EXPECT_EQ(LocalTilesFirst({{10, 40, 20, 10}, {{20, 5, 0}}}, cost), 2);
  cost.transfer_backward_us = 0;
  EXPECT_EQ(LocalTilesFirst({{10, 40, 20, 10}, {{20, 5, 0}}}, cost), 0);
}

// A heavy tile first would make rows wait: the split is by work, not by number.
TEST(LocalSplitTest, SplitsByWork) {
  const BackwardWork work = {{40, 10, 10, 10, 10}, {{20, 5, 0}}};
  EXPECT_EQ(LocalTilesFirst(work, Cost()), 1);
}

}  // namespace
}  // namespace flashcp::solver

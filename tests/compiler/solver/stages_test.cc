// How many stages the model chooses, and of what.

#include "compiler/solver/stages.h"

#include "gtest/gtest.h"

namespace flashcp::solver {
namespace {

TEST(StagesTest, OneStageWhereNothingIsGained) {
  StageLoad load;
  load.local_us = 100;
  load.remote_us = 50;
  load.transfer_us = 10;  // hidden behind local work
  load.latency_us = 1;
  load.merge_us = 1;
  EXPECT_EQ(ChooseStages({load}, 8).stages, 1);
}

TEST(StagesTest, MoreStagesLetRemoteWorkStartSooner) {
  StageLoad load;
  load.remote_us = 100;
  load.transfer_us = 100;
  const Pipelining chosen = ChooseStages({load}, 1);
  EXPECT_EQ(chosen.stages, kMaxStages);
  EXPECT_FALSE(chosen.by_heads);
  EXPECT_DOUBLE_EQ(PipelineUs(load, {1, false}), 200);
  EXPECT_DOUBLE_EQ(PipelineUs(load, {4, false}), 125);
}

// Stages of rows pay for merging each time, stages of heads once in all, and for packing.
TEST(StagesTest, HeadsWhereMergesCostMoreThanPacking) {
  StageLoad load;
  load.remote_us = 100;
  load.transfer_us = 100;
  load.merge_us = 10;
  load.pack_us = 4;
  EXPECT_DOUBLE_EQ(PipelineUs(load, {4, false}), 25 + 4 * (10 + 25));
  EXPECT_DOUBLE_EQ(PipelineUs(load, {4, true}), 25 + 4 * (114.0 / 4));
  EXPECT_TRUE(ChooseStages({load}, 8).by_heads);
  load.pack_us = 100;
  EXPECT_FALSE(ChooseStages({load}, 8).by_heads);
}

TEST(StagesTest, HeadsMakeEqualStages) {
  StageLoad load;
  load.remote_us = 100;
  load.transfer_us = 100;
  load.merge_us = 50;
  const Pipelining chosen = ChooseStages({load}, 6);
  EXPECT_TRUE(chosen.by_heads);
  EXPECT_EQ(chosen.stages, 6);
  EXPECT_FALSE(ChooseStages({load}, 1).by_heads);
}

TEST(StagesTest, TheSlowestRankDecides) {
  StageLoad idle;
  StageLoad busy;
  busy.remote_us = busy.transfer_us = 100;
  EXPECT_EQ(ChooseStages({idle, busy}, 1).stages, kMaxStages);
  EXPECT_EQ(ChooseStages({idle}, 8).stages, 1);
}

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

// Holds the load of a forward program to sums by hand.

#include "compiler/solver/stage_load.h"

#include "compiler/solver/cost_model.h"
#include "gtest/gtest.h"
#include "model/document.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

Problem TwoRanks() {
  Problem problem = SmallProblem();
  problem.documents = {{1024, model::Mask::Full()}, {512, {}}};
  problem.ranks = 2;
  return problem;
}

TEST(StageLoadTest, SharesTheTimeOfTilesByTheirRemoteKeys) {
  const Problem problem = TwoRanks();
  const StageLoad load = LoadOfStages(problem, {{0, 0, 512, 256}, {1, 0, 512, 0}}, RankCost());
  const double full_us = SegmentTime(problem, problem.documents[0], 0, 512).forward_us;
  const double causal_us = SegmentTime(problem, problem.documents[1], 0, 512).forward_us;
  EXPECT_DOUBLE_EQ(load.remote_us, full_us / 4);
  EXPECT_DOUBLE_EQ(load.local_us, full_us * 3 / 4 + causal_us);
  EXPECT_EQ(load.latency_us, 0);
  EXPECT_EQ(load.pack_us, 0);
}

// A row block of the H100 presets takes 0.023702 us for a head before its first key.
TEST(StageLoadTest, EveryBlockOfRowsWithRemoteKeysMerges) {
  const Problem problem = TwoRanks();
  const double heads = problem.heads.query * problem.heads.dim / 128.0;
  const StageLoad load = LoadOfStages(problem, {{0, 0, 300, 1}, {1, 0, 512, 0}}, RankCost());
  EXPECT_NEAR(load.merge_us, 3 * 0.023702 * heads, 1e-9);
  EXPECT_EQ(LoadOfStages(problem, {{1, 0, 512, 0}}, RankCost()).merge_us, 0);
}

TEST(StageLoadTest, MessagesAndBytesTakeTheLinksOfTheCluster) {
  Problem problem = TwoRanks();
  problem.cluster.intra_node = {/*bytes_per_us=*/100, /*latency_us=*/2};
  problem.cluster.inter_node = {/*bytes_per_us=*/10, /*latency_us=*/5};
  RankCost cost;
  cost.peers = 4;  // two that it receives from, two that it sends to
  cost.transfer_forward_us = 20;
  cost.receive_bytes_forward = 3000;
  cost.send_bytes_forward = 1000;
  StageLoad load = LoadOfStages(problem, {}, cost);
  EXPECT_DOUBLE_EQ(load.latency_us, 4);
  EXPECT_DOUBLE_EQ(load.transfer_us, 16);
  EXPECT_DOUBLE_EQ(load.pack_us, 2 * 4000 / 400.0);
  problem.cluster.ranks_per_node = 1;
  load = LoadOfStages(problem, {}, cost);
  EXPECT_DOUBLE_EQ(load.latency_us, 10);
  EXPECT_DOUBLE_EQ(load.transfer_us, 10);
}

}  // namespace
}  // namespace flashcp::solver

// Statistics of a plan that is small enough to count by hand.

#include "runtime/plan/statistics.h"

#include "gtest/gtest.h"
#include "runtime/plan/plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using testing::MakeToyPlan;
using testing::MakeToyPlanT;
using testing::SealPlanT;
using testing::ToyProblem;

// One causal document of 10 tokens; rank 0 owns [0, 4) and [6, 8), rank 1 [4, 6) and [8, 10).
ToyProblem TwoRanks() {
  ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{10, {{0, 4, 0}, {4, 6, 1}, {6, 8, 0}, {8, 10, 1}}}};
  return problem;
}

TEST(StatisticsTest, CountsByHand) {
  Plan plan = MakeToyPlan(TwoRanks());
  PlanStatistics statistics = ComputeStatistics(plan);
  ASSERT_EQ(statistics.ranks.size(), 2);
  const RankStatistics& first = statistics.ranks[0];
  const RankStatistics& second = statistics.ranks[1];
  EXPECT_EQ(statistics.tokens, 10);
  EXPECT_EQ(first.tokens, 6);
  EXPECT_EQ(second.tokens, 4);
  EXPECT_EQ(first.pairs, 1 + 2 + 3 + 4 + 7 + 8);
  EXPECT_EQ(second.pairs, 5 + 6 + 9 + 10);
  // Rank 0 needs tokens 4 and 5, rank 1 all six of rank 0; K and V of 2 heads of 8 floats.
  const uint64_t token_bytes = 2 * 2 * 8 * 4;
  EXPECT_EQ(first.receive_bytes_forward, 2 * token_bytes);
  EXPECT_EQ(first.send_bytes_forward, 6 * token_bytes);
  EXPECT_EQ(second.receive_bytes_forward, 6 * token_bytes);
  EXPECT_EQ(second.send_bytes_forward, 2 * token_bytes);
  // K and V again, and the gradients the other way.
  EXPECT_EQ(first.receive_bytes_backward, 8 * token_bytes);
  EXPECT_EQ(first.send_bytes_backward, 8 * token_bytes);
  EXPECT_EQ(first.messages, 2);
  EXPECT_EQ(first.receive_messages, 1);
  EXPECT_EQ(second.receive_messages, 1);
  EXPECT_EQ(first.segments, 2);
  EXPECT_EQ(second.segments, 2);
  // Q and O have 4 heads, K and V 2, LSE one float for each query head.
  const uint64_t tensors = 6 * (2 * 4 * 8 + 2 * 2 * 8) * 4;
  const uint64_t lse = 6 * 4 * 4;
  const fbs::RankPlan& plan_of_first = *plan->ranks()->Get(0);
  EXPECT_EQ(first.forward_peak_bytes, plan_of_first.workspace_bytes() + tensors + lse);
  EXPECT_EQ(first.workspace_bytes, plan_of_first.backward_workspace_bytes());
  EXPECT_GT(first.workspace_bytes, plan_of_first.workspace_bytes());
  EXPECT_EQ(first.peak_bytes, first.workspace_bytes + 2 * tensors + lse);
  EXPECT_EQ(first.saved_bytes, 0);
  EXPECT_EQ(statistics.receive_bytes_max, 6 * token_bytes);
  EXPECT_EQ(statistics.receive_bytes_total, 8 * token_bytes);
  EXPECT_DOUBLE_EQ(statistics.token_imbalance, 6 / 5.0);
  EXPECT_DOUBLE_EQ(statistics.work_imbalance, 30 / 27.5);
}

// Rank 1 saves the six rows of document 1 that it receives, and those of document 0 come again.
TEST(StatisticsTest, SavedRowsDoNotTravelAgain) {
  Plan plan = MakeToyPlan(testing::SavedToyProblem());
  PlanStatistics statistics = ComputeStatistics(plan);
  const RankStatistics& first = statistics.ranks[0];
  const RankStatistics& second = statistics.ranks[1];
  const uint64_t token_bytes = 2 * 2 * 8 * 4;
  EXPECT_EQ(first.send_bytes_forward, 9 * token_bytes);
  EXPECT_EQ(first.receive_bytes_forward, 6 * token_bytes);
  EXPECT_EQ(first.send_bytes_backward, (3 + 6) * token_bytes);
  EXPECT_EQ(first.receive_bytes_backward, (6 + 9) * token_bytes);
  EXPECT_EQ(second.receive_bytes_backward, (3 + 6) * token_bytes);
  EXPECT_EQ(second.send_bytes_backward, (6 + 9) * token_bytes);
  EXPECT_EQ(first.saved_bytes, 0);
  EXPECT_EQ(second.saved_bytes, 6 * token_bytes);
  const uint64_t lse = 10 * 4 * 4;
  const uint64_t tensors = 10 * (2 * 4 * 8 + 2 * 2 * 8) * 4;
  EXPECT_EQ(second.peak_bytes, second.workspace_bytes + second.saved_bytes + 2 * tensors + lse);
}

// Each of two rounds has half of the heads: as many bytes and pairs, twice as many messages.
TEST(StatisticsTest, AllRoundsCount) {
  for (bool saved : {false, true}) {
    ToyProblem problem = TwoRanks();
    problem.documents[0].saved = saved;
    const PlanStatistics once = ComputeStatistics(MakeToyPlan(problem));
    problem.head_groups = 2;
    const Plan plan = MakeToyPlan(problem);
    const PlanStatistics twice = ComputeStatistics(plan);
    EXPECT_EQ(twice.receive_bytes_total, once.receive_bytes_total);
    for (int r : {0, 1}) {
      EXPECT_EQ(twice.ranks[r].pairs, once.ranks[r].pairs);
      EXPECT_EQ(twice.ranks[r].receive_bytes_forward, once.ranks[r].receive_bytes_forward);
      EXPECT_EQ(twice.ranks[r].send_bytes_forward, once.ranks[r].send_bytes_forward);
      EXPECT_EQ(twice.ranks[r].receive_bytes_backward, once.ranks[r].receive_bytes_backward);
      EXPECT_EQ(twice.ranks[r].send_bytes_backward, once.ranks[r].send_bytes_backward);
      EXPECT_EQ(twice.ranks[r].messages, 2 * once.ranks[r].messages);
      EXPECT_EQ(twice.ranks[r].receive_messages, 2 * once.ranks[r].receive_messages);
      EXPECT_EQ(twice.ranks[r].saved_bytes, once.ranks[r].saved_bytes);
      EXPECT_LT(twice.ranks[r].peak_bytes, once.ranks[r].peak_bytes);
      EXPECT_EQ(twice.ranks[r].workspace_bytes, plan->ranks()->Get(r)->backward_workspace_bytes());
    }
  }
}

TEST(StatisticsTest, TilesCountByTheirShareOfHeads) {
  fbs::PlanT plan = MakeToyPlanT(TwoRanks());
  std::vector<fbs::Tile>& tiles = plan.ranks[1]->forward->tiles;
  std::vector<fbs::Tile> split;
  for (fbs::Tile tile : tiles) {
    tile.mutate_head_end(2);
    split.push_back(tile);
    tile.mutate_head_begin(2);
    tile.mutate_head_end(4);
    split.push_back(tile);
  }
  tiles = split;
  EXPECT_EQ(ComputeStatistics(SealPlanT(plan)).ranks[1].pairs, 30);
}

TEST(StatisticsTest, NeighbouringRangesAreOneSegment) {
  ToyProblem problem;
  problem.documents = {{10, {{0, 4, 0}, {4, 10, 0}}}, {3, {{0, 3, 0}}}};
  EXPECT_EQ(ComputeStatistics(MakeToyPlan(problem)).ranks[0].segments, 2);
}

TEST(StatisticsTest, NoTokensAreBalanced) {
  ToyProblem problem;
  problem.ranks = 3;
  PlanStatistics statistics = ComputeStatistics(MakeToyPlan(problem));
  EXPECT_EQ(statistics.tokens, 0);
  EXPECT_EQ(statistics.work_imbalance, 1);
  EXPECT_EQ(statistics.token_imbalance, 1);
}

}  // namespace
}  // namespace flashcp

// Tests of the paces that passes follow: those of the model, of saved rows too.

#include "compiler/solver/pacing.h"

#include <random>
#include <vector>

#include "compiler/solver/schedule.h"
#include "compiler/solver/schedule_time.h"
#include "compiler/solver/stage_loads.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

double Sum(const std::vector<double>& shares) {
  double sum = 0;
  for (double share : shares) sum += share;
  return sum;
}

TEST(PacingTest, IsWhatTheModelPlays) {
  for (int seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    const Problem problem = RandomProblem(seed, 2000);
    std::mt19937_64 random(seed);
    const Placement placement = RandomPlacement(problem, random);
    const StageLoads loads(problem, placement);
    const int stages = loads.turns() > 0 ? 1 + seed % 5 : 0;
    const int groups = seed % 2 == 0 ? 1 : problem.heads.key_value;
    const auto forward = PaceForward(loads, groups, stages);
    const auto backward = PaceBackward(loads, {}, groups, stages);
    ASSERT_EQ(forward.size(), problem.ranks);
    ASSERT_EQ(backward.size(), problem.ranks);
    std::vector<RankStage> cut;
    if (stages > 0) {
      cut = loads.CutRows(stages);
      loads.AddCompute(stages, &cut);
    }
    double forward_us = 0, backward_us = 0;
    for (int rank = 0; rank < problem.ranks; ++rank) {
      const RankStage* of_rank = cut.data() + rank * stages;
      const RankBase& base = loads.ranks()[rank];
      const PacedPass played = PlayForward(loads, base, of_rank, stages, groups);
      EXPECT_EQ(forward[rank], played.before);
      EXPECT_EQ(forward[rank].size(), stages);
      EXPECT_LE(Sum(forward[rank]), 1 + 1e-9);
      const PacedPass back = PlayBackward(loads, base, of_rank, of_rank, stages, groups);
      EXPECT_EQ(backward[rank], back.before);
      EXPECT_LE(Sum(backward[rank]), 1 + 1e-9);
      forward_us = std::max(forward_us, played.us);
      backward_us = std::max(backward_us, back.us);
    }
    const Schedule schedule = ModelSchedule(loads, groups, stages);
    EXPECT_EQ(schedule.forward_us, forward_us);
    EXPECT_EQ(schedule.backward_us, backward_us);
  }
}

// Rank 1 needs rows of both documents: if none of them travels again it does not wait.
TEST(PacingTest, SavedRowsAreNotWaitedFor) {
  Problem problem = SmallProblem();
  problem.documents = {{8000, {}}, {8000, {}}};
  problem.ranks = 2;
  const Placement placement = {{{{0, 4000, 0}, {4000, 8000, 1}}, {{0, 4000, 0}, {4000, 8000, 1}}}};
  auto first_share = [&](const std::vector<bool>& saved) {
    return PaceBackward(StageLoads(problem, placement), saved, /*head_groups=*/1,
                        /*row_stages=*/1)[1][0];
  };
  const double of_both = first_share({});
  EXPECT_GT(of_both, 0);
  EXPECT_LT(first_share({true, false}), of_both);
  EXPECT_GT(first_share({true, false}), 0);
  EXPECT_EQ(first_share({true, true}), 0);
}

}  // namespace
}  // namespace flashcp::solver

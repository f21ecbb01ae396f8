// Tests of workspaces, of the times of schedules, and of the choice among them.

#include "compiler/solver/schedule.h"

#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "compiler/solver/schedule_time.h"
#include "compiler/solver/stage_loads.h"
#include "compiler/solver/strategies.h"
#include "compiler/solver/workspace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One document, 4:2 heads of dimension 8, on ranks of one node or of several.
Problem OneDocument(int64_t tokens, int ranks, const char* cluster) {
  Problem problem = SmallProblem();
  problem.documents = {{tokens, {}}};
  problem.ranks = ranks;
  problem.heads = {4, 2, 8};
  problem.cluster = *model::ClusterPreset(cluster);
  return problem;
}

// Rank 1 receives the 1000 rows of rank 0 and keeps 1000.
TEST(WorkspaceTest, AddsUpTheBuffersOfARank) {
  const Problem problem = OneDocument(2000, 2, "h100x8");
  const StageLoads loads(problem, PlaceContiguous(problem));
  auto bytes = [&](int rank, int stages, int groups) {
    return WorkspaceOf(loads, loads.ranks()[rank], &loads.CutRows(stages)[rank * stages], stages,
                       groups);
  };
  // K/V rows of 16 elements of 2 bytes; an accumulator of 32 floats a row.
  EXPECT_EQ(bytes(1, 1, 1).forward_bytes, 2 * 32000 + 128000);
  // delta, query_sum, key_sum and value_sum; K/V and their sums.
  const int64_t own = 16000 + 128000 + 2 * 64000;
  EXPECT_EQ(bytes(1, 1, 1).backward_bytes, own + 2 * 32000 + 2 * 64000);
  // What comes back to rank 0 for the rows it sends.
  EXPECT_EQ(bytes(0, 1, 1).backward_bytes, own + 2 * 32000);
  EXPECT_EQ(bytes(0, 1, 1).forward_bytes, 0);
  // Two groups: half of all, in two places for K/V rows.
  EXPECT_EQ(bytes(1, 1, 2).forward_bytes, 2 * 2 * 16000 + 64000);
  EXPECT_EQ(bytes(1, 1, 2).backward_bytes, own / 2 + 2 * 2 * 16000 + 2 * 32000);
  // Four stages of 128, 256, 256 and 360 rows; the last takes the slot of the first.
  EXPECT_EQ(loads.CutRows(4)[4 + 3].RowsIn(), 1000 - 640);
  EXPECT_EQ(bytes(1, 4, 1).backward_bytes, own + 2 * 32 * (360 + 256 + 256) + 2 * 64 * 360);
}

TEST(WorkspaceTest, LeastIsNoMoreThanAnyStagesTake) {
  for (int seed = 0; seed < 40; ++seed) {
    const Problem problem = RandomProblem(seed, 300);
    std::mt19937_64 random(seed);
    const StageLoads loads(problem, RandomPlacement(problem, random));
    for (int stages : {1, 2, 3, 5, 8}) {
      const std::vector<RankStage> cut = loads.CutRows(stages);
      for (int groups : {1, problem.heads.key_value}) {
        int64_t most = 0;
        for (int rank = 0; rank < problem.ranks; ++rank) {
          most = std::max(
              most, WorkspaceOf(loads, loads.ranks()[rank], &cut[rank * stages], stages, groups)
                        .backward_bytes);
        }
        EXPECT_LE(LeastWorkspaceBytes(loads, stages, groups), most) << seed << " " << stages;
      }
    }
  }
}

// A rank of its own: rows take 1 us each in one group, messages nothing.
class ScheduleTimeTest : public ::testing::Test {
 protected:
  ScheduleTimeTest() : problem_(OneDocument(2000, 2, "h100x8")) {
    LinkClass& link = problem_.cluster.intra_node;
    link = {static_cast<double>(problem_.KeyValueBytesPerToken()), 0};
  }

  // A pass of one rank, whose stages take as long forward as backward.
  struct Passes {
    PacedPass forward, backward;
  };
  Passes Play(double local_us, const std::vector<double>& tiles_us,
              const std::vector<int64_t>& rows, int groups) const {
    return Play(local_us, tiles_us, rows, rows, groups);
  }
  Passes Play(double local_us, const std::vector<double>& tiles_us,
              const std::vector<int64_t>& rows, const std::vector<int64_t>& resent_rows,
              int groups) const {
    const StageLoads loads(problem_, PlaceContiguous(problem_));
    std::vector<RankStage> stages(rows.size()), resent(rows.size());
    for (size_t k = 0; k < rows.size(); ++k) {
      stages[k].in_node.rows_in = rows[k];
      stages[k].compute = {tiles_us[k], tiles_us[k]};
      resent[k].in_node.rows_in = resent_rows[k];
    }
    RankBase base;
    base.local = {local_us, local_us};
    return {PlayForward(loads, base, stages.data(), stages.size(), groups),
            PlayBackward(loads, base, stages.data(), resent.data(), stages.size(), groups)};
  }
  double ForwardUs(double local_us, const std::vector<double>& tiles_us,
                   const std::vector<int64_t>& rows, int groups) const {
    return Play(local_us, tiles_us, rows, groups).forward.us;
  }
  double BackwardUs(double local_us, const std::vector<double>& tiles_us,
                    const std::vector<int64_t>& rows, int groups) const {
    return Play(local_us, tiles_us, rows, groups).backward.us;
  }

  Problem problem_;
};

TEST_F(ScheduleTimeTest, LocalTilesHideWhatArrivesAndLeaves) {
  EXPECT_DOUBLE_EQ(ForwardUs(20, {20}, {10}, 1), 40);
  EXPECT_DOUBLE_EQ(BackwardUs(20, {20}, {10}, 1), 40);
  // Rows arrive at 30, after all local tiles; gradients need 30 after 50.
  EXPECT_DOUBLE_EQ(ForwardUs(20, {20}, {30}, 1), 50);
  EXPECT_DOUBLE_EQ(BackwardUs(20, {20}, {30}, 1), 80);
  EXPECT_DOUBLE_EQ(BackwardUs(20, {}, {}, 1), 20);
}

TEST_F(ScheduleTimeTest, LocalTilesComeWhileTheRankWouldWait) {
  // Rows arrive at 6, 10 and 30, tiles take 10: waits of 6, none, and 30 - 26.
  EXPECT_THAT(Play(20, {10, 10, 10}, {6, 4, 20}, 1).forward.before,
              ElementsAre(DoubleEq(0.3), DoubleEq(0), DoubleEq(0.2)));
  // Backward gradients of the first stage leave from 16 to 22, those of the second, from 26 to 30:
  // nobody waits to add them.
  EXPECT_THAT(Play(20, {10, 10, 10}, {6, 4, 20}, 1).backward.before,
              ElementsAre(DoubleEq(0.3), DoubleEq(0), DoubleEq(0), DoubleEq(0.2), DoubleEq(0)));
  // The gradients of the first stage come back at 40 and those of the second leave from there on.
  EXPECT_THAT(Play(40, {10, 10}, {10, 1}, {0, 0}, 1).backward.before,
              ElementsAre(DoubleEq(0), DoubleEq(0), DoubleEq(0)));
  EXPECT_THAT(Play(40, {10, 2}, {20, 1}, {0, 0}, 1).backward.before,
              ElementsAre(DoubleEq(0), DoubleEq(0), DoubleEq(0.45)));
  EXPECT_THAT(Play(0, {10, 10}, {6, 40}, 1).forward.before, ElementsAre(0, 0));
}

TEST_F(ScheduleTimeTest, RowsThatAreSavedAreThere) {
  const Passes passes = Play(20, {20}, {10}, {0}, 1);
  EXPECT_DOUBLE_EQ(passes.backward.us, 20 + 20);
  EXPECT_THAT(passes.backward.before, ElementsAre(0));
  EXPECT_THAT(passes.forward.before, ElementsAre(DoubleEq(0.5)));
}

TEST_F(ScheduleTimeTest, ComputeHidesTheRowsOfLaterGroups) {
  // Each group brings its rows in 15 us and computes 10 and 10 us. Only the first waits.
  EXPECT_DOUBLE_EQ(ForwardUs(20, {20}, {30}, 2), (15 + 10) + 20);
  EXPECT_NEAR(ForwardUs(80, {80}, {120}, 8), (15 + 10) + 7 * 20, 1e-9);
  // Backward the rows of a group start when the gradients of the one before do, at 25: they hide
  // each other, and local tiles behind the others hide behind both.
  EXPECT_DOUBLE_EQ(BackwardUs(20, {20}, {30}, 2), (15 + 10 + 15) + (10 + 15));
  EXPECT_NEAR(BackwardUs(80, {80}, {120}, 8), (15 + 10 + 15) + 7 * (10 + 15), 1e-9);
}

TEST_F(ScheduleTimeTest, StagesWaitForASlot) {
  // Rows take 1 us, tiles 10: nobody waits.
  EXPECT_DOUBLE_EQ(ForwardUs(50, {10, 10, 10, 10}, {1, 1, 1, 1}, 1), 90);
  // Rows take 20: they bind.
  EXPECT_DOUBLE_EQ(ForwardUs(0, {10, 10, 10, 10}, {20, 20, 20, 20}, 1), 90);
  // Rows of the fourth stage take the slot of the first, whose tiles end at 101.
  EXPECT_DOUBLE_EQ(ForwardUs(0, {100, 1, 1, 1, 1}, {1, 1, 1, 20, 1}, 1), 101 + 20 + 1 + 1);
  // Backward these rows wait until the gradients of the first stage have left, at 102; the fourth's
  // gradients start at 123, the fifth's wait until these are added.
  EXPECT_DOUBLE_EQ(BackwardUs(0, {100, 1, 1, 1, 1}, {1, 1, 1, 20, 1}, 1), 102 + 20 + 1 + 20 + 1);
}

// All schedules of a few groups and stages.
std::vector<Schedule> AllSchedules(const Problem& problem, const Placement& placement) {
  std::vector<Schedule> schedules;
  for (int groups = 1; groups <= problem.heads.key_value; ++groups) {
    if (problem.heads.key_value % groups != 0) continue;
    for (int stages : {1, 2, 3, 4, 6, 7, 8}) {
      schedules.push_back(ModelSchedule(StageLoads(problem, placement), groups, stages));
    }
  }
  return schedules;
}

int64_t Bytes(const Schedule& schedule) {
  return std::max(schedule.workspace_bytes, schedule.backward_workspace_bytes);
}

TEST(ChooseScheduleTest, NoOtherUnderTheLimitIsShorter) {
  for (int seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    const Problem problem = RandomProblem(seed, 2000);
    std::mt19937_64 random(seed);
    const Placement placement = RandomPlacement(problem, random);
    const std::vector<Schedule> all = AllSchedules(problem, placement);
    for (const Schedule& limiting : all) {
      const int64_t limit = std::max<int64_t>(1, Bytes(limiting));
      const absl::StatusOr<Schedule> chosen = ChooseSchedule(StageLoads(problem, placement), limit);
      if (!chosen.ok()) {
        EXPECT_EQ(limiting.row_stages, 7);  // not always tried
        continue;
      }
      EXPECT_LE(Bytes(*chosen), limit);
      const Schedule again =
          ModelSchedule(StageLoads(problem, placement), chosen->head_groups, chosen->row_stages);
      EXPECT_EQ(again.StepUs(), chosen->StepUs());
      EXPECT_EQ(Bytes(again), Bytes(*chosen));
      for (const Schedule& other : all) {
        if (other.row_stages == 7 || Bytes(other) > limit) continue;
        EXPECT_LE(chosen->StepUs(), other.StepUs() * 1.0011)
            << other.head_groups << " groups, " << other.row_stages << " stages";
      }
    }
    if (HasFailure()) return;
  }
}

// 256K tokens on 16 ranks of two nodes, 32:8 heads.
class LimitTest : public ::testing::Test {
 protected:
  LimitTest() : problem_(SmallProblem()) {
    problem_.documents = {{262144, {}}};
    problem_.ranks = 16;
    placement_ = PlaceZigzag(problem_);
  }

  absl::StatusOr<Schedule> Choose(int64_t mib) const {
    return ChooseSchedule(StageLoads(problem_, placement_), mib << 20);
  }

  Problem problem_;
  Placement placement_;
};

TEST_F(LimitTest, TheErrorEndsWithTheLeastLimitInMiB) {
  const absl::Status status = Choose(1).status();
  ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("no schedule needs 1.00 MiB or less"));
  EXPECT_EQ(LeastLimitMib(absl::InvalidArgumentError("another limit of at least 3")), std::nullopt);
  const int64_t least = LeastLimitMib(status).value_or(0);
  ASSERT_GT(least, 1);
  EXPECT_TRUE(Choose(least).ok());
  EXPECT_EQ(Choose(least - 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LimitTest, MoreMemoryIsNeverSlower) {
  double before_us = std::numeric_limits<double>::infinity();
  int64_t fitting = 0;
  for (int64_t mib = 16; mib <= 16384; mib += mib / 4) {
    const absl::StatusOr<Schedule> chosen = Choose(mib);
    if (!chosen.ok()) continue;
    ++fitting;
    EXPECT_LE(Bytes(*chosen), mib << 20);
    EXPECT_LE(chosen->StepUs(), before_us * 1.0005);
    before_us = chosen->StepUs();
  }
  EXPECT_GT(fitting, 10);
  EXPECT_LE(Choose(0)->StepUs(), before_us * 1.0005);
}

TEST(ChooseScheduleTest, GroupsComeBeforeStagesAndCostNothing) {
  Problem problem = SmallProblem();
  problem.documents = {{131072, {}}};
  const Placement placement = PlaceZigzag(problem);
  const Schedule free = *ChooseSchedule(StageLoads(problem, placement), 0);
  EXPECT_EQ(free.head_groups, 1);
  EXPECT_EQ(free.row_stages, 1);
  const Schedule limited = *ChooseSchedule(StageLoads(problem, placement), Bytes(free) / 5);
  EXPECT_EQ(limited.head_groups, 8);
  EXPECT_EQ(limited.row_stages, 1);
  EXPECT_LE(limited.StepUs(), free.StepUs() * 1.0005);
}

TEST(ChooseScheduleTest, WholeDocumentsHaveNoStages) {
  Problem problem = SmallProblem();
  problem.ranks = 2;
  problem.slack_percent = 100;
  const Placement placement = {{{{0, 1000, 0}}, {{0, 300, 1}}}};
  const Schedule free = *ChooseSchedule(StageLoads(problem, placement), 0);
  EXPECT_EQ(free.row_stages, 0);
  EXPECT_EQ(free.head_groups, 1);
  EXPECT_EQ(free.workspace_bytes, 0);
  EXPECT_EQ(free.StepUs(), Evaluate(problem, placement).StepUs());
  EXPECT_EQ(ChooseSchedule(StageLoads(problem, placement), Bytes(free) - 1)->head_groups, 2);
}

}  // namespace
}  // namespace flashcp::solver

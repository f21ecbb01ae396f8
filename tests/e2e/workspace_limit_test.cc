// Plans within the least workspace limit are exact, and the limit that an error names is one that a
// plan meets: for every strategy, exchange and mask, and for 1 to 24 ranks, with relays and
// without.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "compiler/solver/place_for_schedule.h"
#include "compiler/solver/schedule.h"
#include "compiler/solver/strategies.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/random_lengths.h"

namespace flashcp {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// Returns the number that ends a message.
int64_t LastNumber(const std::string& message) {
  int64_t number = -1;
  EXPECT_TRUE(absl::SimpleAtoi(message.substr(message.rfind(' ') + 1), &number)) << message;
  return number;
}

// Over the ranks, each shape of nodes meets each strategy and each mask.
TEST(WorkspaceLimitTest, PlansAreExactAtTheLeastLimit) {
  const std::vector<std::string> strategies = solver::StrategyNames();
  const model::Mask masks[] = {model::Mask::Causal(), model::Mask::Full(), model::Mask::Window(23)};
  Compiler compiler;
  int i = 0;
  for (int ranks : {1, 2, 3, 4, 6, 8, 13, 24}) {
    for (int ranks_per_node : {ranks, 2, 1}) {
      const std::string& strategy = strategies[(i + i / 6) % strategies.size()];
      const model::Mask& mask = masks[(i + i / 3) % std::size(masks)];
      SCOPED_TRACE(absl::StrCat(strategy, ", ", ranks, " ranks, ", ranks_per_node, " in a node, ",
                                model::MaskText(mask)));
      std::vector<model::Document> documents;
      // Short runs of many owners make many merges, each with a rounding of its own.
      const int tokens = ranks * (ranks > 8 ? 150 : 60);
      for (int64_t length : testing::RandomLengths(testing::LengthKind::kMixed, i, tokens)) {
        documents.push_back({length, mask});
      }
      CompileRequest request{testing::SmallProblem(documents, ranks), strategy};
      request.problem.heads = {8, 4, 8};
      request.problem.cluster.name = "nodes";
      request.problem.cluster.ranks_per_node = ranks_per_node;
      request.problem.exchange =
          i % 4 == 3 ? model::Exchange::kAllGather : model::Exchange::kNeeded;
      testing::ExpectExactPlan(&compiler, testing::WithLeastLimit(&compiler, request));
      ++i;
    }
  }
}

TEST(WorkspaceLimitTest, TheErrorNamesALimitThatAPlanMeets) {
  CompileRequest request{testing::SmallProblem({{60000, model::Mask::Causal()}}, 8), "zigzag"};
  request.problem.heads = {32, 8, 128};
  request.workspace_limit_bytes = kMiB;
  Compiler compiler;
  const absl::Status refused = compiler.Compile(request).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              ::testing::StartsWith(std::string(solver::kWorkspaceLimitTooLow)));
  const int64_t least = LastNumber(std::string(refused.message()));
  request.workspace_limit_bytes = least * kMiB;
  EXPECT_TRUE(compiler.Compile(request).ok());
  request.workspace_limit_bytes = (least - 1) * kMiB;
  EXPECT_FALSE(compiler.Compile(request).ok());
}

// What the solver foretells is what buffers take.
TEST(WorkspaceLimitTest, BuffersTakeWhatTheSolverSays) {
  Compiler compiler;
  for (const std::string& strategy : solver::StrategyNames()) {
    for (int ranks_per_node : {8, 4, 1}) {
      for (int64_t limit_mib : {1000, 12}) {
        SCOPED_TRACE(absl::StrCat(strategy, ", ", ranks_per_node, " in a node, ", limit_mib));
        solver::Problem problem = testing::SmallProblem(
            {{9000, model::Mask::Causal()}, {3000, model::Mask::Causal()}, {4100, {}}}, 8);
        problem.heads = {16, 4, 64};
        problem.cluster.name = "nodes";
        problem.cluster.ranks_per_node = ranks_per_node;
        CompileRequest request{problem, strategy};
        request.workspace_limit_bytes = limit_mib * kMiB;
        absl::StatusOr<Plan> plan = compiler.Compile(request);
        ASSERT_TRUE(plan.ok()) << plan.status();
        absl::StatusOr<solver::Placement> placement =
            solver::PlaceForSchedule(strategy, problem, request.time_budget_ms, limit_mib * kMiB);
        ASSERT_TRUE(placement.ok());
        absl::StatusOr<solver::Schedule> schedule =
            solver::ChooseSchedule(solver::StageLoads(problem, *placement), limit_mib * kMiB);
        ASSERT_TRUE(schedule.ok()) << schedule.status();
        uint64_t forward = 0, backward = 0;
        for (const fbs::RankPlan* rank : *(*plan)->ranks()) {
          forward = std::max(forward, rank->workspace_bytes());
          backward = std::max(backward, rank->backward_workspace_bytes());
        }
        EXPECT_EQ((*plan)->head_groups(), schedule->head_groups);
        EXPECT_EQ(forward, schedule->workspace_bytes);
        EXPECT_EQ(backward, schedule->backward_workspace_bytes);
      }
    }
  }
}

}  // namespace
}  // namespace flashcp

// On clusters of several nodes plans are exact, and a row crosses to a node once at most.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/compile.h"
#include "compiler/solver/place_for_schedule.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "runtime/plan/plan.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/random_lengths.h"

namespace flashcp {
namespace {

// Ranks, and how many of them share a node; the last node may have fewer.
struct Shape {
  int ranks;
  int ranks_per_node;
};
constexpr Shape kShapes[] = {{4, 2}, {8, 3}, {9, 8}, {16, 8}};

solver::Problem MakeProblem(const Shape& shape, const std::vector<int64_t>& lengths,
                            const model::Mask& mask, model::Exchange exchange) {
  solver::Problem problem = testing::SmallProblem(testing::Documents(lengths, mask), shape.ranks);
  problem.cluster.ranks_per_node = shape.ranks_per_node;
  problem.cluster.name = "nodes";
  problem.exchange = exchange;
  return problem;
}

// Rows that ranks of a node need and none of them owns, each counted once for each such node: by
// marking every token.
int64_t CountCrossingRows(const solver::Problem& problem, const solver::Placement& placement) {
  const int node_size = problem.cluster.ranks_per_node;
  const int nodes = (problem.ranks + node_size - 1) / node_size;
  int64_t rows = 0;
  for (size_t d = 0; d < problem.documents.size(); ++d) {
    const model::Document& document = problem.documents[d];
    std::vector<std::vector<bool>> needed(nodes, std::vector<bool>(document.length));
    for (const solver::Segment& segment : placement.documents[d]) {
      const model::Band& band = document.mask.band();
      std::vector<bool>& mine = needed[segment.rank / node_size];
      for (int64_t key = 0; key < document.length; ++key) {
        if (segment.begin + band.lower <= key && key < segment.end + band.upper) mine[key] = true;
      }
      if (problem.exchange == model::Exchange::kNeeded) continue;
      for (std::vector<bool>& any : needed) std::fill(any.begin(), any.end(), true);
    }
    for (const solver::Segment& segment : placement.documents[d]) {
      for (int node = 0; node < nodes; ++node) {
        if (node == segment.rank / node_size) continue;
        rows += std::count(needed[node].begin() + segment.begin, needed[node].begin() + segment.end,
                           true);
      }
    }
  }
  return rows;
}

// Bytes of the messages that cross nodes.
uint64_t CountCrossingBytes(const Plan& plan) {
  const int node_size = plan->cluster()->ranks_per_node();
  uint64_t bytes = 0;
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    for (const fbs::Message& message : Items(plan->ranks()->Get(rank)->forward()->messages())) {
      bool crosses = static_cast<int>(message.peer()) / node_size != rank / node_size;
      if (crosses && message.direction() == fbs::Direction::receive) bytes += message.bytes();
    }
  }
  return bytes * plan->head_groups();
}

void ExpectRowsCrossOnce(Compiler* compiler, const solver::Problem& problem,
                         const std::string& strategy) {
  absl::StatusOr<Plan> plan = compiler->Compile({problem, strategy});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const CompileRequest defaults{problem};
  absl::StatusOr<solver::Placement> placement = solver::PlaceForSchedule(
      strategy, problem, defaults.time_budget_ms, defaults.WorkspaceLimitBytes());
  ASSERT_TRUE(placement.ok()) << placement.status();
  const int64_t row_bytes = 2 * problem.heads.key_value * problem.heads.dim * sizeof(float);
  EXPECT_EQ(CountCrossingBytes(*plan), CountCrossingRows(problem, *placement) * row_bytes);
}

class RelaysTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RelaysTest, PlansAreExactAndRowsCrossOnce) {
  Compiler compiler;
  uint64_t seed = 1;
  for (const Shape& shape : kShapes) {
    for (model::Mask mask : {model::Mask::Causal(), model::Mask::Full(), model::Mask({-150, 40})}) {
      for (model::Exchange exchange : {model::Exchange::kNeeded, model::Exchange::kAllGather}) {
        SCOPED_TRACE(absl::StrCat(shape.ranks, " ranks, ", shape.ranks_per_node, " a node, mask ",
                                  model::MaskText(mask), ", exchange ",
                                  static_cast<int>(exchange)));
        solver::Problem problem =
            MakeProblem(shape, testing::RandomLengths(testing::LengthKind::kMixed, seed++, 500),
                        mask, exchange);
        testing::ExpectExactPlan(&compiler, {problem, GetParam()});
        ExpectRowsCrossOnce(&compiler, problem, GetParam());
      }
    }
  }
}

// Documents long enough for several relays to share, in as little memory as there is a schedule
// for.
TEST_P(RelaysTest, LongDocumentsInLittleMemory) {
  Compiler compiler;
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(absl::StrCat(shape.ranks, " ranks, ", shape.ranks_per_node, " a node"));
    solver::Problem problem =
        MakeProblem(shape, {2600, 700, 90}, model::Mask::Causal(), model::Exchange::kNeeded);
    problem.heads = {1, 1, 8};
    const CompileRequest request = testing::WithLeastLimit(&compiler, {problem, GetParam()});
    testing::ExpectExactPlan(&compiler, request);
    ExpectRowsCrossOnce(&compiler, problem, GetParam());
  }
}

std::string StrategyName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Strategies, RelaysTest, ::testing::ValuesIn(solver::StrategyNames()),
                         StrategyName);

}  // namespace
}  // namespace flashcp

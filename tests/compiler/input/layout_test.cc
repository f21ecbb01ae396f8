// The layout of a plan as a placement, and each way in which a batch may not have it.

#include "compiler/input/layout.h"

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/cluster.h"
#include "runtime/plan/verify.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

// Three documents, one of no tokens, on three ranks.
testing::ToyProblem MakeToy() {
  testing::ToyProblem toy;
  toy.documents = {{10, {{0, 3, 0}, {3, 7, 2}, {7, 10, 0}}}, {0, {}}, {6, {{0, 1, 2}, {1, 6, 1}}}};
  toy.ranks = 3;
  toy.slack_percent = 50;
  return toy;
}

CompileRequest RequestFor(std::vector<int64_t> lengths) {
  CompileRequest request;
  for (int64_t length : lengths) request.problem.documents.push_back({length, {}});
  request.problem.ranks = 3;
  request.problem.cluster = *model::ClusterPreset("cpu");
  return request;
}

std::vector<std::tuple<int64_t, int64_t, int>> Segments(const solver::Placement& placement,
                                                        int document) {
  std::vector<std::tuple<int64_t, int64_t, int>> segments;
  for (const solver::Segment& segment : placement.documents[document]) {
    segments.emplace_back(segment.begin, segment.end, segment.rank);
  }
  return segments;
}

std::string ErrorOf(const Plan& plan, CompileRequest request) {
  const absl::Status status = TakeLayout(plan, &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(LayoutTest, ARequestTakesPlacementAndSlackOfAPlan) {
  const Plan plan = testing::MakeToyPlan(MakeToy());
  ASSERT_TRUE(VerifyPlan(plan).ok());
  CompileRequest request = RequestFor({10, 0, 6});
  ASSERT_EQ(TakeLayout(plan, &request), absl::OkStatus());
  EXPECT_EQ(request.strategy, "layout");
  EXPECT_EQ(request.problem.slack_percent, 50);
  ASSERT_EQ(request.layout->documents.size(), 3);
  EXPECT_THAT(
      Segments(*request.layout, 0),
      ::testing::ElementsAre(std::tuple(0, 3, 0), std::tuple(3, 7, 2), std::tuple(7, 10, 0)));
  EXPECT_THAT(Segments(*request.layout, 1), ::testing::IsEmpty());
  EXPECT_THAT(Segments(*request.layout, 2),
              ::testing::ElementsAre(std::tuple(0, 1, 2), std::tuple(1, 6, 1)));
  EXPECT_EQ(request.Check(), absl::OkStatus());
  // Again, as for a request that a plan gave back.
  EXPECT_EQ(TakeLayout(plan, &request), absl::OkStatus());
}

TEST(LayoutTest, RangesThatMeetOnARankAreOneSegment) {
  testing::ToyProblem toy;
  toy.documents = {{8, {{0, 2, 0}, {2, 4, 0}, {4, 8, 1}}}};
  toy.ranks = 2;
  EXPECT_THAT(Segments(PlacementOf(testing::MakeToyPlan(toy)), 0),
              ::testing::ElementsAre(std::tuple(0, 4, 0), std::tuple(4, 8, 1)));
}

TEST(LayoutTest, ErrorsNameTheFieldAndWhatIsExpectedAndFound) {
  const Plan plan = testing::MakeToyPlan(MakeToy());
  EXPECT_EQ(ErrorOf(plan, RequestFor({10, 6})), "documents: expected 3 as in the plan, found 2");
  EXPECT_EQ(ErrorOf(plan, RequestFor({10, 0, 7})),
            "length of document 2: expected 6 as in the plan, found 7");
  CompileRequest request = RequestFor({10, 0, 6});
  request.problem.slack_percent = 5;
  EXPECT_EQ(ErrorOf(plan, request), "slack: expected 50 as in the plan, found 5");
  request.strategy = "zigzag";
  EXPECT_EQ(ErrorOf(plan, request),
            "strategy: expected none, since the layout is given, found zigzag");
  request.problem.ranks = 4;
  EXPECT_EQ(ErrorOf(plan, request), "ranks: expected 3 as in the plan, found 4");
}

// Rows in an order that the compiler does not make would not be the rows of the new plan.
TEST(LayoutTest, RowsOutOfOrderAreRefused) {
  testing::ToyProblem toy;
  toy.documents = {{8, {{0, 4, 0}, {4, 8, 1}}}, {4, {{0, 4, 0}}}};
  toy.ranks = 2;
  fbs::PlanT plan = testing::MakeToyPlanT(toy);
  std::swap(plan.ranks[0]->layout[0], plan.ranks[0]->layout[1]);
  CompileRequest request = RequestFor({8, 4});
  request.problem.ranks = 2;
  EXPECT_EQ(ErrorOf(testing::SealPlanT(plan), request),
            "layout of rank 0: expected rows in the order of the pack, found token 0 of document 0 "
            "after a later one");
}

TEST(LayoutTest, ARequestHasALayoutExactlyIfItsStrategySaysSo) {
  CompileRequest request = RequestFor({2});
  request.strategy = "layout";
  EXPECT_EQ(request.Check().message(),
            "strategy is layout and no layout is given: must be layout exactly if there is one");
  request.layout = solver::Placement{{{{0, 1, 0}, {1, 2, 1}}}};
  EXPECT_EQ(request.Check(), absl::OkStatus());
  request.layout->documents[0].pop_back();
  EXPECT_EQ(request.Check().message(),
            "layout: placement of document 0: segments end at 1: must end at its length, 2");
  request.strategy = "auto";
  EXPECT_EQ(request.Check().message(),
            "strategy is auto and a layout is given: must be layout exactly if there is one");
}

}  // namespace
}  // namespace flashcp

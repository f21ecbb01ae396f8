// A timed run tells of every pass, times each, and leaves exact results in the batch.

#include "session/timed_run.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "session/check.h"
#include "session/ranks.h"
#include "session/tensors.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::session {
namespace {

using ::testing::ElementsAre;

Plan MakePlan() {
  testing::ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{12, {{0, 3, 0}, {3, 12, 1}}}, {7, {{0, 7, 0}}}};
  return testing::MakeToyPlan(problem);
}

TEST(TimedRunTest, TimesAndTellsEveryPass) {
  const Plan plan = MakePlan();
  RunOptions options;
  options.iterations = 2;
  options.backward = true;
  options.trace = true;
  const std::unique_ptr<Ranks> ranks = MakeThreadRanks();
  BatchTensors batch = RandomTensors(plan, 1, options.backward);
  std::vector<std::string> events;
  absl::StatusOr<Measured> measured =
      TimedRun(plan, options, ranks.get(), &batch, [&](const PassEvent& event) {
        events.push_back(absl::StrCat(event.iteration, event.backward ? " backward" : " forward",
                                      event.ms ? " ends" : " begins"));
      });
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_THAT(events, ElementsAre("0 forward begins", "0 forward ends", "0 backward begins",
                                  "0 backward ends", "1 forward begins", "1 forward ends",
                                  "1 backward begins", "1 backward ends"));
  EXPECT_EQ(measured->times.forward.size(), 2);
  EXPECT_EQ(measured->times.backward.size(), 2);
  EXPECT_EQ(measured->traces.size(), 2);
  EXPECT_TRUE(CheckTensors(plan, batch).ok());
}

TEST(TimedRunTest, FailsWithoutKernels) {
  const Plan plan = MakePlan();
  RunOptions options;
  const std::unique_ptr<Ranks> ranks = MakeThreadRanks();
  BatchTensors batch = RandomTensors(plan, 1, options.backward);
  options.device.kernels = "none";
  absl::StatusOr<Measured> measured = TimedRun(plan, options, ranks.get(), &batch);
  EXPECT_TRUE(absl::IsInvalidArgument(measured.status())) << measured.status();
}

}  // namespace
}  // namespace flashcp::session

// Tests of the work that a rank does before each stage.

#include "compiler/solver/pacing.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::solver {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PacingTest, StagesEndAtEqualShares) {
  // All is 80, so stages end at 20, 40 and 60; but the first waits behind a quarter of 50.
  EXPECT_THAT(PacedWork(50, {10, 5, 15}), ElementsAre(DoubleEq(12.5), DoubleEq(12.5), DoubleEq(5)));
  EXPECT_THAT(PacedWork(50, {}), IsEmpty());
}

TEST(PacingTest, LittleLocalWorkIsSharedByBothEnds) {
  EXPECT_THAT(PacedWork(9, {60, 50}), ElementsAre(DoubleEq(3), DoubleEq(0)));
  EXPECT_THAT(PacedWork(10, {100}), ElementsAre(DoubleEq(5)));
  EXPECT_THAT(PacedWork(0, {60, 50}), ElementsAre(DoubleEq(0), DoubleEq(0)));
}

TEST(PacingTest, LocalWorkWaitsForShortStages) {
  EXPECT_THAT(PacedWork(90, {0, 0}), ElementsAre(DoubleEq(30), DoubleEq(30)));
}

TEST(PacingTest, LocalWorkFillsUpLateStages) {
  EXPECT_THAT(PacedWork(40, {50, 0, 0}), ElementsAre(DoubleEq(10), DoubleEq(0), DoubleEq(7.5)));
}

}  // namespace
}  // namespace flashcp::solver

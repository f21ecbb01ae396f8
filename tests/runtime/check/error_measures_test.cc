// The error measures on tensors of a few elements.

#include "runtime/check/error_measures.h"

#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ErrorMeasuresTest, SayWhatTheyAreRelativeTo) {
  const std::vector<double> expected = {0.5, -8, 2};
  const std::vector<float> found = {0.25f, -9, 2};
  EXPECT_EQ(MaxError(expected, found), 1);
  EXPECT_EQ(RelativeError(expected, found), 0.125);
}

TEST(ErrorMeasuresTest, TheWorstElementIsThatOfTheLargestRatio) {
  const WorstElement worst = FindWorst({0.5, -8, 2}, {0.5f, 4, 1}, {0.25f, -9, 2});
  EXPECT_EQ(worst.index, 0);
  EXPECT_EQ(worst.ratio, 0.5);
  EXPECT_EQ(worst.error, 0.25);
  EXPECT_EQ(worst.allowed, 0.5);
  EXPECT_EQ(FindWorst({1, 2}, {0, 0}, {1, 2}).index, -1);
  EXPECT_EQ(FindWorst({1, 2}, {0, 0}, {1, 2}).ratio, 0);
}

TEST(ErrorMeasuresTest, WhatCannotBeJudgedIsInfinitelyWrong) {
  EXPECT_EQ(FindWorst({1, 2}, {1, 0}, {1, 2.5f}).ratio, kInfinity);     // nothing is allowed
  EXPECT_EQ(FindWorst({1, 2}, {1, kNan}, {1, 2.5f}).ratio, kInfinity);  // nobody knows what is
  EXPECT_EQ(FindWorst({1, 2}, {1, kNan}, {1, 2}).ratio, 0);
  EXPECT_EQ(FindWorst({1, kNan}, {1, 1}, {1, kNan}).ratio, kInfinity);
  EXPECT_EQ(FindWorst({1, -kInfinity}, {1, 1}, {1, -kInfinity}).ratio, 0);
  EXPECT_EQ(FindWorst({1, -kInfinity}, {1, 1}, {1, 5}).index, 1);
  EXPECT_EQ(FindWorst({1, 2}, {1, 1}, {1}).ratio, kInfinity);
}

TEST(ErrorMeasuresTest, ZerosHaveNoRelativeError) {
  EXPECT_EQ(RelativeError({}, {}), 0);
  EXPECT_EQ(RelativeError({0.0, 0.0}, {0.0f, -3.0f}), 3);
}

TEST(ErrorMeasuresTest, InfinitiesMustBeTheSame) {
  for (const auto& measure : {MaxError, RelativeError}) {
    EXPECT_EQ(measure({-kInfinity, 2}, {-kInfinity, 2}), 0);
    EXPECT_GT(measure({-kInfinity, 2}, {-kInfinity, 1}), 0);
    EXPECT_EQ(measure({-kInfinity, 2}, {+kInfinity, 2}), kInfinity);
    EXPECT_EQ(measure({-kInfinity, 2}, {-1e30f, 2}), kInfinity);
    EXPECT_EQ(measure({1, 2}, {1, +kInfinity}), kInfinity);
  }
}

TEST(ErrorMeasuresTest, NanAndOtherSizesAreInfinitelyWrong) {
  for (const auto& measure : {MaxError, RelativeError}) {
    EXPECT_EQ(measure({1, 2}, {1, kNan}), kInfinity);
    EXPECT_EQ(measure({1, kNan}, {1, 2}), kInfinity);
    EXPECT_EQ(measure({1, kNan}, {1, kNan}), kInfinity);
    EXPECT_EQ(measure({1, 2}, {1}), kInfinity);
    EXPECT_EQ(measure({1}, {1, 2}), kInfinity);
  }
}

}  // namespace
}  // namespace flashcp

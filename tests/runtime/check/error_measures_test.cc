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
  EXPECT_EQ(MaxScaledError(expected, found), 0.25);  // of the first: 1 / 8 is less
  EXPECT_EQ(RelativeError(expected, found), 0.125);
}

TEST(ErrorMeasuresTest, ZerosHaveNoRelativeError) {
  EXPECT_EQ(RelativeError({}, {}), 0);
  EXPECT_EQ(RelativeError({0.0, 0.0}, {0.0f, -3.0f}), 3);
}

TEST(ErrorMeasuresTest, InfinitiesMustBeTheSame) {
  for (const auto& measure : {MaxError, MaxScaledError, RelativeError}) {
    EXPECT_EQ(measure({-kInfinity, 2}, {-kInfinity, 2}), 0);
    EXPECT_GT(measure({-kInfinity, 2}, {-kInfinity, 1}), 0);
    EXPECT_EQ(measure({-kInfinity, 2}, {+kInfinity, 2}), kInfinity);
    EXPECT_EQ(measure({-kInfinity, 2}, {-1e30f, 2}), kInfinity);
    EXPECT_EQ(measure({1, 2}, {1, +kInfinity}), kInfinity);
  }
}

TEST(ErrorMeasuresTest, NanAndOtherSizesAreInfinitelyWrong) {
  for (const auto& measure : {MaxError, MaxScaledError, RelativeError}) {
    EXPECT_EQ(measure({1, 2}, {1, kNan}), kInfinity);
    EXPECT_EQ(measure({1, kNan}, {1, 2}), kInfinity);
    EXPECT_EQ(measure({1, kNan}, {1, kNan}), kInfinity);
    EXPECT_EQ(measure({1, 2}, {1}), kInfinity);
    EXPECT_EQ(measure({1}, {1, 2}), kInfinity);
  }
}

}  // namespace
}  // namespace flashcp

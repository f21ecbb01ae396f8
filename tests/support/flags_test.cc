// The values of single flags, and the errors that name them.

#include "support/flags.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace flashcp {
namespace {

TEST(IntegerFlagTest, TakesTheMultiplesOfTheRange) {
  constexpr IntegerRange kRange = {8, 256, 8};
  EXPECT_EQ(*IntegerFlag("--dim", "8", kRange), 8);
  EXPECT_EQ(*IntegerFlag("--dim", "256", kRange), 256);
  for (const char* text : {"0", "12", "264", "8.0", "x", ""}) {
    EXPECT_EQ(IntegerFlag("--dim", text, kRange).status(),
              absl::InvalidArgumentError("--dim: expected a multiple of 8 from 8 to 256, found '" +
                                         std::string(text) + "'"));
  }
}

TEST(RangeTextTest, SaysStepsThatAreNotOne) {
  EXPECT_EQ(RangeText({1, 1024}), "1 to 1024");
  EXPECT_EQ(RangeText({8, 256, 8}), "8 to 256 in steps of 8");
}

}  // namespace
}  // namespace flashcp

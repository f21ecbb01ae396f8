// The warning of a fit that was disturbed; calibrate.test measures.

#include "tools/cli/fit_report.h"

#include "gtest/gtest.h"

namespace flashcp::cli {
namespace {

TEST(FitWarningTest, NamesTheFitsThatAreOff) {
  const session::CalibrationPoint good = {64, 100, 100, 114, 86}, slow = {128, 300, 100, 99, 100},
                                  both = {256, 100, 100, 116, 84};
  EXPECT_EQ(FitWarning({}), "");
  EXPECT_EQ(FitWarning({good, good}), "");
  EXPECT_EQ(FitWarning({good, slow, both}),
            "warning: the fit is off by -67.0% for forward of 128 tokens, +16.0% for forward of "
            "256 tokens, -16.0% for backward of 256 tokens: other programs kept this host busy; "
            "run again while it is idle, or with more --tokens");
}

}  // namespace
}  // namespace flashcp::cli

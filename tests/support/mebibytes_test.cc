// Amounts of memory keep three digits or more, whatever their size.

#include "support/mebibytes.h"

#include "gtest/gtest.h"

namespace flashcp {
namespace {

TEST(MebibytesTest, KeepsThreeDigits) {
  EXPECT_EQ(FormatMib(0), "0");
  EXPECT_EQ(FormatMib(1), "<0.001");
  EXPECT_EQ(FormatMib(1 << 18), "0.250");
  EXPECT_EQ(FormatMib(3 << 19), "1.50");
  EXPECT_EQ(FormatMib(123.44 * (1 << 20)), "123.4");
  EXPECT_EQ(FormatMib(12345.0 * (1 << 20)), "12345");
  EXPECT_EQ(FormatBytes(3 << 19), "1.50 MiB");
}

}  // namespace
}  // namespace flashcp

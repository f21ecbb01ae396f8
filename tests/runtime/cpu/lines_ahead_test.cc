// What the kernel is given to fetch: every line of the rows, in shares.

#include "runtime/cpu/lines_ahead.h"

#include <cstddef>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/cpu/scratch.h"

namespace flashcp {
namespace {

class LinesAheadTest : public ::testing::Test {
 protected:
  static size_t Bytes() {
    Scratch measure(nullptr);
    LinesAhead{&measure};
    return measure.bytes();
  }

  std::vector<char> memory_ = std::vector<char>(Bytes());
  Scratch scratch_{memory_.data()};
  LinesAhead ahead_{&scratch_};
};

TEST_F(LinesAheadTest, SharesHoldEveryLineOfTheRows) {
  // Rows 1, 2 and 3 of two heads: the second head of the first token, then a token of both.
  const char tensor[1000] = {};
  ahead_.Add(RowsOf<const char>{tensor, 500, 200, 2, 1, 3}, 160);
  EXPECT_EQ(ahead_.Share(4), 3);  // 9 lines: shares of 3, 3, 3 and the last one again
  for (int row = 0; row < 3; ++row) {
    for (int line = 0; line < 3; ++line) {
      EXPECT_EQ(ahead_.lines()[3 * row + line],
                tensor + (row == 0 ? 200 : 500 + 200 * (row - 1)) + 64 * line);
    }
  }
  for (int i = 9; i < 12; ++i) EXPECT_EQ(ahead_.lines()[i], ahead_.lines()[8]);
}

TEST_F(LinesAheadTest, WithoutLinesSharesAreEmpty) {
  EXPECT_EQ(ahead_.Share(7), 0);
  ahead_.Add(RowsOf<char>{memory_.data(), 64, 64, 1, 0, 2}, 64);
  EXPECT_EQ(ahead_.Share(7), 1);
  ahead_.Clear();
  EXPECT_EQ(ahead_.Share(7), 0);
}

TEST_F(LinesAheadTest, MoreThanFitAreLeftOut) {
  ahead_.Add(RowsOf<char>{memory_.data(), 64, 64, 1, 0, 3 * kMaxLinesAhead}, 64);
  const int64_t share = ahead_.Share(kRunKeys);
  EXPECT_GT(share * kRunKeys, kMaxLinesAhead / 2);
  EXPECT_LE(share * kRunKeys, kMaxLinesAhead);
}

}  // namespace
}  // namespace flashcp

// What the kernel is given to fetch: every line of the rows, in pairs and in shares.

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
  // Pairs of 128 bytes.
  const char tensor[1000] = {};
  ahead_.Add(RowsOf<const char>{tensor, 500, 160, 2, 1, 3});
  EXPECT_EQ(ahead_.Share(4), 2);  // 5 pairs: shares of 2, 2, 1 and the last one again
  const std::vector<int> expected = {160, 288, 500, 628, 756, 756, 756, 756};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(ahead_.pairs()[i], tensor + expected[i]);
}

TEST_F(LinesAheadTest, WithoutLinesSharesAreEmpty) {
  EXPECT_EQ(ahead_.Share(7), 0);
  ahead_.Add(RowsOf<char>{memory_.data(), 64, 64, 1, 0, 2});
  EXPECT_EQ(ahead_.Share(7), 1);
  ahead_.Clear();
  EXPECT_EQ(ahead_.Share(7), 0);
}

TEST_F(LinesAheadTest, MoreThanFitAreLeftOut) {
  ahead_.Add(RowsOf<char>{memory_.data(), 128, 128, 1, 0, 3 * kMaxPairsAhead});
  const int64_t share = ahead_.Share(kRunKeys);
  EXPECT_GT(share * kRunKeys, kMaxPairsAhead / 2);
  EXPECT_LE(share * kRunKeys, kMaxPairsAhead);
}

}  // namespace
}  // namespace flashcp

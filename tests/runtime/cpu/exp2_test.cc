// The generators' 2^x, as the forward kernels of each instruction set compute it, against double
// over its whole range: a row with one visible key, whose score is x, and the maximum 0 has the sum
// 2^x.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/numeric.h"
#include "tests/testing/kernels_to_test.h"

namespace flashcp {
namespace {

constexpr int kDim = 8;  // of Q, K and V: one group of dims for every kernel
constexpr int kMaxRows = 64;
constexpr int kMaxBlock = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Exp2Test : public ::testing::TestWithParam<const GeneratedKernel*> {
 protected:
  void TearDown() override { Flush(); }

  void Check(float x) {
    inputs_[count_++] = x;
    if (count_ == GetParam()->panel_rows) Flush();
  }

  // One call of the kernel: its rows are the inputs so far.
  void Flush() {
    const GeneratedKernel& kernel = *GetParam();
    const int rows = kernel.panel_rows;
    ASSERT_LE(rows, kMaxRows);
    for (int i = 0; i < count_; ++i) SetScore(i, inputs_[i]);
    std::fill_n(state_, 2 * rows, 0.0f);
    for (int i = 0; i < rows; ++i) {
      visible_[i] = 0;
      visible_[rows + i] = 1;
    }
    kernel.forward(query_, keys_, values_, output_, state_, scores_, weights_, visible_, 0,
                   kernel.group, kernel.group, 0, 0, 0, 1.0f, kDim, kDim, nullptr, 0);
    for (int i = 0; i < count_; ++i) Compare(inputs_[i], state_[rows + i]);
    count_ = 0;
  }

  double worst() const { return worst_; }

 private:
  void SetUp() override {
    const GeneratedKernel& kernel = *GetParam();
    ASSERT_LE(kernel.key_block, kMaxBlock);
    // The first key is 1 in the dims that SetScore uses.
    const uint32_t one = kernel.pairs ? 0x3f803f80 : BitsOfFloat(1.0f);
    for (int word = 0; word < (kernel.pairs ? 2 : 1); ++word) keys_[word * kernel.group] = one;
  }

  // x itself, or the three bf16 that add up to it.
  void SetScore(int row, float x) {
    const int rows = GetParam()->panel_rows;
    if (!GetParam()->pairs) {
      query_[row] = BitsOfFloat(x);
      return;
    }
    const float high = FloatFromBits(BitsOfFloat(x) & 0xffff0000);
    const float rest = std::isinf(x) ? 0 : x - high;
    const float middle = FloatFromBits(BitsOfFloat(rest) & 0xffff0000);
    query_[row] = BitsOfFloat(high) >> 16 | BitsOfFloat(middle);
    query_[rows + row] = BitsOfFloat(rest - middle) >> 16;
  }

  void Compare(float x, float found) {
    if (x <= -126.5f) {
      ASSERT_EQ(found, 0) << x;
      return;
    }
    if (x < -126 && found == 0) return;
    const double expected = std::exp2(static_cast<double>(x));
    const double error = std::abs(found - expected) / expected;
    ASSERT_LE(error, 0x1p-22) << x << ", " << found;
    worst_ = std::max(worst_, error);
  }

  float inputs_[kMaxRows];
  int count_ = 0;
  double worst_ = 0;
  alignas(64) uint32_t query_[kDim * kMaxRows] = {};
  alignas(64) uint32_t keys_[kDim * 16] = {};
  alignas(64) uint32_t values_[kRunKeys * 16] = {};
  alignas(64) float output_[kDim * kMaxRows] = {};
  alignas(64) float state_[2 * kMaxRows];
  alignas(64) int32_t visible_[2 * kMaxRows];
  alignas(64) float scores_[kMaxBlock * kMaxRows];
  alignas(64) float weights_[kMaxBlock * kMaxRows];
};

TEST_P(Exp2Test, IsWithinItsBoundOnItsWholeRange) {
  // Every 211th float from -0 down to -inf; 211 is a prime, so that all low bits occur.
  for (uint32_t bits = BitsOfFloat(-0.0f); bits <= BitsOfFloat(-kInfinity); bits += 211) {
    Check(FloatFromBits(bits));
    if (HasFatalFailure()) return;
  }
  Check(-kInfinity);
  Flush();
  EXPECT_GT(worst(), 0) << "nothing was compared";
}

TEST_P(Exp2Test, IsWithinItsBoundWhereItRoundsToAnotherPower) {
  for (int halves = 0; halves <= 2 * 130; ++halves) {
    const float boundary = -0.5f * halves;
    float below = boundary, above = boundary;
    for (int i = 0; i < 300 && !HasFatalFailure(); ++i) {
      Check(below);
      Check(above);
      below = std::nextafter(below, -kInfinity);
      above = std::nextafter(above, 0.0f);
    }
  }
}

// Kernels of one target share their 2^x: those for any dim stand for all.
INSTANTIATE_TEST_SUITE_P(All, Exp2Test, ::testing::ValuesIn(testing::KernelsForAnyDim()),
                         testing::NameOfKernel);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Exp2Test);  // without AVX2

}  // namespace
}  // namespace flashcp

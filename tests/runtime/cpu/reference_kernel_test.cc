// The reference kernel against float64 loops on single tiles, and its merging of partial results.

#include "runtime/cpu/reference_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/check/random_tensor.h"
#include "runtime/kernels.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp {
namespace {

using testing::MaskAt;
using testing::TileCase;
using testing::TileShape;

constexpr float kInf = std::numeric_limits<float>::infinity();

KernelSpec Spec(model::DType element, int query_heads, int key_value_heads, int dim) {
  return {element, query_heads, key_value_heads, dim, dim, 1 / std::sqrt(static_cast<float>(dim))};
}

// Half a unit in the last place of outputs below 2 in size, and what f32 accumulation adds.
double Tolerance(model::DType element) {
  switch (element) {
    case model::DType::kF32:
      return 2e-5;
    case model::DType::kBF16:
      return 0x1p-8 + 2e-5;
    case model::DType::kF16:
      return 0x1p-11 + 2e-5;
  }
  return 0;
}

void ExpectExact(const TileCase& tile, const testing::TestResult& result, model::DType element) {
  DenseResult expected = tile.Expected();
  EXPECT_LE(MaxError(expected.output, result.output), Tolerance(element));
  EXPECT_LE(MaxError(expected.lse, result.lse), 2e-5);
}

class ReferenceKernelTest
    : public ::testing::TestWithParam<std::tuple<model::DType, std::pair<int, int>, MaskAt>> {
 protected:
  model::DType element() const { return std::get<0>(GetParam()); }
  model::Mask mask(int distance) const { return std::get<2>(GetParam())(distance); }
  KernelSpec spec(int dim) const {
    auto [query_heads, key_value_heads] = std::get<1>(GetParam());
    return Spec(element(), query_heads, key_value_heads, dim);
  }
};

TEST_P(ReferenceKernelTest, TilesOfAllShapes) {
  // Positions put the diagonal and the edges of the band inside, before and behind the tile.
  const TileShape shapes[] = {
      {0, 1, 0, 1, mask(1)},     {7, 1, 7, 1, mask(3)},        {500, 1, 0, 501, mask(130)},
      {0, 300, 0, 1, mask(40)},  {100, 70, 90, 65, mask(20)},  {64, 64, 0, 64, mask(64)},
      {0, 130, 0, 130, mask(5)}, {10, 20, 15, 100, mask(2)},   {0, 10, 50, 10, mask(4)},
      {90, 9, 0, 40, mask(30)},  {33, 129, 20, 257, mask(77)},
  };
  uint64_t seed = 1;
  for (const TileShape& shape : shapes) {
    SCOPED_TRACE(seed);
    TileCase tile(spec(16), shape, seed++);
    ExpectExact(tile, tile.Forward(), element());
  }
}

TEST_P(ReferenceKernelTest, AnySplitOfTheKeysInAnyOrderMergesToTheSame) {
  std::mt19937 random(7);
  const TileShape shape = {40, 50, 0, 90, mask(21)};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::vector<int64_t> cuts = {0, shape.key_count};
    for (int cut = random() % 6; cut > 0; --cut) cuts.push_back(random() % (shape.key_count + 1));
    std::sort(cuts.begin(), cuts.end());
    std::vector<int> order(cuts.size() - 1);
    for (int i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    TileCase tile(spec(24), shape, seed);
    ExpectExact(tile, tile.Forward(cuts, order), element());
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ReferenceKernelTest,
    ::testing::Combine(::testing::Values(model::DType::kF32, model::DType::kBF16,
                                         model::DType::kF16),
                       ::testing::Values(std::pair(2, 2), std::pair(4, 2), std::pair(3, 1)),
                       ::testing::ValuesIn(testing::kMasksAt)));

TEST(ReferenceKernelDimTest, EveryDimension) {
  for (int dim = 8; dim <= 256; dim += 8) {
    SCOPED_TRACE(dim);
    TileCase tile(Spec(model::DType::kF32, 1, 1, dim), {3, 5, 0, 70, model::Mask::Full()}, dim);
    ExpectExact(tile, tile.Forward({0, 66, 70}, {1, 0}), model::DType::kF32);
  }
}

TEST(ReferenceKernelEdgeTest, RowWithoutAnyKeyIsZero) {
  TileCase tile(Spec(model::DType::kF32, 1, 1, 8), {0, 4, 2, 5, model::Mask::Causal()}, 1);
  for (const testing::TestResult& result : {tile.Forward(), tile.Forward({0, 2, 5}, {1, 0})}) {
    for (int i = 0; i < 2 * 8; ++i) EXPECT_EQ(result.output[i], 0);
    EXPECT_EQ(result.lse[0], -kInf);
    EXPECT_EQ(result.lse[1], -kInf);
    EXPECT_GT(result.lse[2], -kInf);
  }
}

TEST(ReferenceKernelEdgeTest, LargeScoresDoNotOverflow) {
  TileCase tile(Spec(model::DType::kF32, 1, 1, 8), {0, 1, 0, 2, model::Mask::Full()}, 1);
  std::fill(tile.query.begin(), tile.query.end(), 100.0f);
  std::fill(tile.key.begin(), tile.key.begin() + 8, 100.0f);
  std::fill(tile.key.begin() + 8, tile.key.end(), -100.0f);
  testing::TestResult result = tile.Forward();
  EXPECT_NEAR(result.lse[0], 8 * 1e4 / std::sqrt(8.0), 1e-2);
  for (int d = 0; d < 8; ++d) EXPECT_EQ(result.output[d], tile.value[d]);
}

TEST(ReferenceKernelEdgeTest, NanReachesTheRowsThatSeeItAndNoOther) {
  const KernelSpec spec = Spec(model::DType::kBF16, 1, 1, 8);
  for (bool in_value : {false, true}) {
    TileCase tile(spec, {0, 6, 0, 6, model::Mask::Causal()}, 3);
    (in_value ? tile.value : tile.key)[3 * 8 + 1] = std::nanf("");
    for (const testing::TestResult& result : {tile.Forward(), tile.Forward({0, 4, 6}, {1, 0})}) {
      for (int row = 0; row < 6; ++row) {
        EXPECT_EQ(std::isnan(result.output[row * 8 + 1]), row >= 3) << row;
        EXPECT_EQ(std::isnan(result.lse[row]), row >= 3 && !in_value) << row;
      }
    }
  }
}

TEST(ReferenceKernelEdgeTest, ScoresOfMinusInfinityWeighNothing) {
  TileCase tile(Spec(model::DType::kF32, 1, 1, 8), {0, 1, 0, 70, model::Mask::Full()}, 5);
  std::fill(tile.query.begin(), tile.query.end(), 1.0f);
  for (int key = 0; key < 69; ++key) tile.key[key * 8] = -kInf;  // a whole block, and most of one
  for (const testing::TestResult& result : {tile.Forward(), tile.Forward({0, 65, 70}, {0, 1})}) {
    for (int d = 0; d < 8; ++d) EXPECT_FLOAT_EQ(result.output[d], tile.value[69 * 8 + d]);
    EXPECT_TRUE(std::isfinite(result.lse[0]));
  }
}

TEST(ReferenceKernelEdgeTest, OnlyItsHeadsAreWritten) {
  const KernelSpec spec = Spec(model::DType::kF32, 4, 2, 8);
  std::vector<float> query = RandomTensor(1, 4 * 8, spec.element);
  std::vector<float> key = RandomTensor(2, 2 * 8, spec.element);
  std::vector<float> value = RandomTensor(3, 2 * 8, spec.element);
  std::vector<float> output(4 * 8, 99);
  std::vector<float> lse(4, 99);
  AttentionTile tile = {query.data(),
                        key.data(),
                        value.data(),
                        output.data(),
                        lse.data(),
                        nullptr,
                        0,
                        0,
                        1,
                        1,
                        model::Mask::Causal().band(),
                        4,
                        2,
                        1,
                        3,
                        true,
                        true};
  ReferenceAttention(spec, &tile, 1);
  for (int head = 0; head < 4; ++head) {
    bool written = head == 1 || head == 2;
    EXPECT_EQ(lse[head] != 99, written);
    // One key: the output is the value row of the head's group.
    for (int d = 0; d < 8; ++d) {
      EXPECT_EQ(output[head * 8 + d], written ? value[head / 2 * 8 + d] : 99);
    }
  }
}

}  // namespace
}  // namespace flashcp

// Every generated kernel, forward and backward, against the reference kernel on tiles of many
// shapes; what this CPU lacks the instructions for runs emulated.

#include "runtime/cpu/generated_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/panels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"
#include "tests/testing/kernels_to_test.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp {
namespace {

using testing::TileCase;
using testing::TileShape;
using testing::ToDoubles;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// O is rounded to its type by both; bf16 kernels also round weights.
double Tolerance(model::DType element) {
  if (element == model::DType::kF32) return 2e-5;
  return (element == model::DType::kBF16 ? 0x1p-7 : 0x1p-10) + 2e-5;
}

void ExpectSame(const testing::TestResult& expected, const testing::TestResult& found,
                model::DType element, double largest_score = 1) {
  EXPECT_LE(MaxError(ToDoubles(expected.output), found.output), Tolerance(element));
  EXPECT_LE(MaxError(ToDoubles(expected.lse), found.lse), 2e-5 * largest_score);
}

void ExpectSame(const testing::TestGradients& expected, const testing::TestGradients& found,
                const GeneratedKernel& kernel) {
  const double allowed = kernel.pairs ? 1.5e-2 : 1e-5;
  EXPECT_LE(RelativeError(ToDoubles(expected.query), found.query), allowed);
  EXPECT_LE(RelativeError(ToDoubles(expected.key), found.key), allowed);
  EXPECT_LE(RelativeError(ToDoubles(expected.value), found.value), allowed);
}

// What kernels add to ones, from the reference kernel's O and LSE.
testing::TestGradients Backward(const TileCase& tile, CpuKernels* kernels = nullptr) {
  return tile.Backward(tile.SavedBy(tile.Forward()), 1, kernels);
}

class GeneratedKernelTest : public ::testing::TestWithParam<const GeneratedKernel*> {
 protected:
  std::vector<model::DType> Elements() const {
    if (GetParam()->pairs) return {model::DType::kBF16};
    return {model::DType::kF32, model::DType::kBF16, model::DType::kF16};
  }
  KernelSpec Spec(model::DType element, int query_heads, int key_value_heads, int dim = 0) const {
    if (dim == 0) dim = GetParam()->any_dim ? 40 : GetParam()->dim;
    const int value_dim = GetParam()->any_dim ? dim : GetParam()->value_dim;
    return {element, query_heads, key_value_heads,
            dim,     value_dim,   1.3f / std::sqrt(static_cast<float>(dim))};
  }
  std::unique_ptr<CpuKernels> Kernels(const KernelSpec& spec) {
    auto kernels = CreateGeneratedAttention(*GetParam(), spec, &pool_);
    return std::move(kernels).value();
  }
  void Check(const KernelSpec& spec, const TileShape& shape, uint64_t seed) {
    SCOPED_TRACE(seed);
    const TileCase tile(spec, shape, seed);
    auto kernels = Kernels(spec);
    ExpectSame(tile.Forward(), tile.Forward(kernels.get()), spec.element);
    ExpectSame(Backward(tile), Backward(tile, kernels.get()), *GetParam());
  }

  WorkerPool pool_{2};
};

TEST_P(GeneratedKernelTest, TilesOfAllShapes) {
  uint64_t seed = 0;
  for (testing::MaskAt mask : testing::kMasksAt) {
    const TileShape shapes[] = {
        {0, 1, 0, 1, mask(1)},      {7, 1, 7, 1, mask(3)},       {500, 1, 0, 501, mask(130)},
        {0, 300, 0, 1, mask(40)},   {100, 70, 90, 65, mask(20)}, {0, 130, 0, 130, mask(5)},
        {10, 20, 15, 100, mask(2)}, {0, 10, 50, 10, mask(4)},    {33, 129, 20, 257, mask(77)},
    };
    for (const TileShape& shape : shapes) {
      for (model::DType element : Elements()) Check(Spec(element, 4, 2), shape, ++seed);
    }
  }
}

// NaNs lie beside the heads that the tile computes. A large value goes to the reference kernel.
TEST_P(GeneratedKernelTest, RowsOfTensorsMayHaveFurtherHeads) {
  const std::vector<int64_t> cuts = {0, 90, 270};
  for (model::DType element : Elements()) {
    for (float value : {1.0f, element == model::DType::kF16 ? 1.0f : 0x1p60f}) {
      const KernelSpec spec = Spec(element, 4, 2);
      auto kernels = Kernels(spec);
      TileCase tile(spec, {70, 200, 0, 270, model::Mask::Window(150)}, 8);
      tile.value[100 * spec.value_dim] = value;
      const testing::TestResult expected = tile.Forward(cuts, {1, 0}, kernels.get());
      const testing::TestGradients gradients = Backward(tile, kernels.get());
      tile.SetFurtherHeads(3);
      const testing::TestResult found = tile.Forward(cuts, {1, 0}, kernels.get());
      EXPECT_EQ(found.output, expected.output);
      EXPECT_EQ(found.lse, expected.lse);
      const testing::TestGradients wide = Backward(tile, kernels.get());
      EXPECT_EQ(wide.query, gradients.query);
      EXPECT_EQ(wide.key, gradients.key);
      EXPECT_EQ(wide.value, gradients.value);
    }
  }
}

TEST_P(GeneratedKernelTest, MoreRowsThanAWorkerTakes) {
  const int64_t tokens = kUnitRows / 3 + 48;
  Check(Spec(Elements()[0], 3, 1), {0, tokens, 0, tokens, model::Mask::Causal()}, 77);
}

TEST_P(GeneratedKernelTest, EveryDimension) {
  if (!GetParam()->any_dim) GTEST_SKIP() << "a kernel for one dimension";
  for (int dim = 8; dim <= 256; dim += 8) {
    SCOPED_TRACE(dim);
    Check(Spec(Elements()[0], 1, 1, dim), {60, 37, 0, 99, model::Mask::Causal()}, dim);
  }
}

TEST_P(GeneratedKernelTest, AnySplitOfTheKeysInAnyOrderMergesToTheSame) {
  std::mt19937 random(7);
  const KernelSpec spec = Spec(Elements()[0], 4, 2);
  const TileShape shape = {40, 50, 0, 90, model::Mask::Window(21)};
  auto kernels = Kernels(spec);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::vector<int64_t> cuts = {0, shape.key_count};
    for (int cut = random() % 6; cut > 0; --cut) cuts.push_back(random() % (shape.key_count + 1));
    std::sort(cuts.begin(), cuts.end());
    std::vector<int> order(cuts.size() - 1);
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::shuffle(order.begin(), order.end(), random);
    const TileCase tile(spec, shape, seed);
    ExpectSame(tile.Forward(), tile.Forward(cuts, order, kernels.get()), spec.element);
  }
}

TEST_P(GeneratedKernelTest, LargeScoresDoNotOverflow) {
  const KernelSpec spec = Spec(Elements()[0], 1, 1);
  for (float size : {100.0f, 1e15f}) {
    TileCase tile(spec, {0, 1, 0, 2, model::Mask::Full()}, 1);
    std::fill(tile.query.begin(), tile.query.end(), size);
    std::fill(tile.key.begin(), tile.key.begin() + spec.dim, size);
    std::fill(tile.key.begin() + spec.dim, tile.key.end(), -size);
    const testing::TestResult result = tile.Forward(Kernels(spec).get());
    EXPECT_TRUE(std::isfinite(result.lse[0]));
    for (int d = 0; d < spec.value_dim; ++d) EXPECT_EQ(result.output[d], tile.value[d]);
  }
}

// Scores of up to 1e31, all different, so that each row is the value of one key.
TEST_P(GeneratedKernelTest, ScoresOfAnySizeGiveNoNan) {
  const KernelSpec spec = Spec(Elements()[0], 2, 1);
  auto kernels = Kernels(spec);
  for (testing::MaskAt mask : testing::kMasksAt) {
    const TileShape shape = {0, 120, 0, 120, mask(50)};
    TileCase tile(spec, shape, 6);
    std::fill(tile.query.begin(), tile.query.end(), 0.0f);
    std::fill(tile.key.begin(), tile.key.end(), 0.0f);
    for (int row = 0; row < 240; ++row)
      tile.query[row * spec.dim] = row % 3 == 0 ? -0x1p50 : 0x1p50;
    for (int key = 0; key < 120; ++key) tile.key[key * spec.dim] = 0x1p49 * (key * 77 % 120 - 60);
    ExpectSame(tile.Forward(), tile.Forward(kernels.get()), spec.element, 1e31);
    const testing::TestGradients gradients = Backward(tile, kernels.get());
    for (const std::vector<float>* sums : {&gradients.query, &gradients.key, &gradients.value}) {
      for (float sum : *sums) EXPECT_TRUE(std::isfinite(sum));
    }
  }
}

TEST_P(GeneratedKernelTest, NanReachesTheRowsThatSeeItAndNoOther) {
  const KernelSpec spec = Spec(Elements()[0], 1, 1);
  auto kernels = Kernels(spec);
  for (bool in_value : {false, true}) {
    TileCase tile(spec, {0, 6, 0, 6, model::Mask::Causal()}, 3);
    (in_value ? tile.value[3 * spec.value_dim + 1] : tile.key[3 * spec.dim + 1]) = std::nanf("");
    for (const testing::TestResult& result :
         {tile.Forward(kernels.get()), tile.Forward({0, 4, 6}, {1, 0}, kernels.get())}) {
      for (int row = 0; row < 6; ++row) {
        EXPECT_EQ(std::isnan(result.output[row * spec.value_dim + 1]), row >= 3) << row;
        EXPECT_EQ(std::isnan(result.lse[row]), row >= 3 && !in_value) << row;
      }
    }
    const testing::TestGradients gradients = Backward(tile, kernels.get());
    const testing::TestGradients expected = Backward(tile);
    for (size_t i = 0; i < expected.query.size(); ++i) {
      EXPECT_EQ(std::isnan(gradients.query[i]), std::isnan(expected.query[i])) << i;
    }
  }
}

TEST_P(GeneratedKernelTest, ScoresOfMinusInfinityWeighNothing) {
  const KernelSpec spec = Spec(Elements()[0], 1, 1);
  auto kernels = Kernels(spec);
  TileCase tile(spec, {0, 1, 0, 200, model::Mask::Full()}, 5);
  std::fill(tile.query.begin(), tile.query.end(), 1.0f);
  for (int key = 0; key < 199; ++key) tile.key[key * spec.dim] = -kInfinity;
  for (const testing::TestResult& result :
       {tile.Forward(kernels.get()), tile.Forward({0, 65, 200}, {0, 1}, kernels.get())}) {
    for (int d = 0; d < spec.value_dim; ++d) {
      EXPECT_FLOAT_EQ(result.output[d], tile.value[199 * spec.value_dim + d]);
    }
    EXPECT_TRUE(std::isfinite(result.lse[0]));
  }
}

TEST_P(GeneratedKernelTest, ResultsDoNotDependOnThreads) {
  const KernelSpec spec = Spec(Elements()[0], 6, 3);
  const TileCase tile(spec, {0, 500, 0, 500, model::Mask::Causal()}, 9);
  testing::TestResult first;
  testing::TestGradients first_gradients;
  for (int threads : {1, 2, 5}) {
    WorkerPool pool(threads);
    auto kernels = CreateGeneratedAttention(*GetParam(), spec, &pool).value();
    const testing::TestResult result = tile.Forward(kernels.get());
    const testing::TestGradients gradients = Backward(tile, kernels.get());
    if (threads > 1) {
      EXPECT_EQ(result.output, first.output);
      EXPECT_EQ(result.lse, first.lse);
      EXPECT_EQ(gradients.query, first_gradients.query);
      EXPECT_EQ(gradients.key, first_gradients.key);
      EXPECT_EQ(gradients.value, first_gradients.value);
    }
    first = result;
    first_gradients = gradients;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GeneratedKernelTest, ::testing::ValuesIn(testing::KernelsToTest()),
                         testing::NameOfKernel);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GeneratedKernelTest);  // without AVX2

}  // namespace
}  // namespace flashcp

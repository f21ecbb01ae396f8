// Scores that f32 holds, however large, and those that it does not, forward and backward.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"
#include "tests/testing/kernels_to_test.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp {
namespace {

using testing::TestGradients;
using testing::TestResult;
using testing::TileCase;

constexpr int64_t kRows = 50, kKeys = 150;

struct Results {
  TestResult forward;
  TestGradients gradients;
};

void Scale(std::vector<float>* tensor, float factor) {
  for (float& x : *tensor) x *= factor;
}

bool AllFinite(const std::vector<float>& tensor) {
  return std::all_of(tensor.begin(), tensor.end(), [](float x) { return std::isfinite(x); });
}

// Differences of outputs, and of LSE relative to its size. Scores of some hundreds are rounded by
// 1e-4.
void ExpectSameOutputs(model::DType element, const TestResult& expected, const TestResult& found) {
  const double rounding = element == model::DType::kBF16 ? 0x1p-7 : 0;
  for (size_t i = 0; i < found.output.size(); ++i) {
    const double allowed = (rounding + 3e-4) * std::max(1.0f, std::abs(expected.output[i]));
    ASSERT_NEAR(found.output[i], expected.output[i], allowed) << i;
  }
  for (int64_t row = 0; row < kRows; ++row) {
    ASSERT_NEAR(found.lse[row] / expected.lse[row], 1, 1e-6) << row;
  }
}

void ExpectFinite(const TestGradients& gradients) {
  EXPECT_TRUE(AllFinite(gradients.query));
  EXPECT_TRUE(AllFinite(gradients.key));
  EXPECT_TRUE(AllFinite(gradients.value));
}

class LargeScoresTest : public ::testing::TestWithParam<const GeneratedKernel*> {
 protected:
  // One head, full mask, and tensors that tests change.
  TileCase MakeTile() const {
    return TileCase(spec_, {0, kRows, 0, kKeys, model::Mask::Full()}, 1);
  }

  // Both passes, backward with what forward saved.
  Results Run(const TileCase& tile) {
    auto kernels = CreateGeneratedAttention(*GetParam(), spec_, &pool_).value();
    return RunBoth(tile, kernels.get());
  }
  static Results RunReference(const TileCase& tile) { return RunBoth(tile, nullptr); }

  const KernelSpec spec_ = {
      GetParam()->pairs ? model::DType::kBF16 : model::DType::kF32, 1, 1, 40, 40, 0.3f};

 private:
  static Results RunBoth(const TileCase& tile, CpuKernels* kernels) {
    const TestResult forward = tile.Forward(kernels);
    return {forward, tile.Backward(tile.SavedBy(forward), 0, kernels)};
  }

  WorkerPool pool_{1};
};

// From where weights are all 0 or 1, up to scores of 1e30. The scale is no power of two: LSE then
// differs from the score that it comes from by rounding, times any number.
TEST_P(LargeScoresTest, NoScoreMakesANan) {
  for (float factor : {10.0f, 1e3f, 1e4f, 1e5f, 1e8f, 1e12f, 4e14f}) {
    SCOPED_TRACE(factor);
    TileCase tile = MakeTile();
    Scale(&tile.query, factor);
    Scale(&tile.key, factor);
    const Results found = Run(tile);
    const Results reference = RunReference(tile);
    ExpectSameOutputs(spec_.element, reference.forward, found.forward);
    ExpectFinite(reference.gradients);
    ExpectFinite(found.gradients);
    // No weight is above 1.
    const int dim = spec_.value_dim;
    for (int d = 0; d < dim; ++d) {
      double allowed = 1e-3;
      for (int64_t row = 0; row < kRows; ++row) {
        allowed += std::abs(tile.output_gradient[row * dim + d]);
      }
      for (int64_t key = 0; key < kKeys; ++key) {
        ASSERT_LE(std::abs(found.gradients.value[key * dim + d]), allowed);
      }
    }
  }
}

TEST_P(LargeScoresTest, ProductsThatOverflowBelowWeighNothing) {
  TileCase tile = MakeTile();
  const int dim = spec_.dim;
  // Queries of one sign each: no sum of products with a large key cancels.
  for (size_t i = 0; i < tile.query.size(); ++i) {
    tile.query[i] = std::copysign(tile.query[i], i / dim % 2 == 0 ? 1.0f : -1.0f);
  }
  std::fill_n(&tile.query[7 * dim], dim, 1e20f);
  for (int64_t key : {0, 20, 149}) std::fill_n(&tile.key[key * dim], dim, -1e20f);
  const Results found = Run(tile);
  ExpectSameOutputs(spec_.element, RunReference(tile).forward, found.forward);
  ExpectFinite(found.gradients);
}

TEST_P(LargeScoresTest, ProductsThatOverflowAboveReachTheirRowAlone) {
  TileCase tile = MakeTile();
  const int dim = spec_.dim, value_dim = spec_.value_dim;
  std::fill_n(&tile.query[7 * dim], dim, 1e20f);
  std::fill_n(&tile.key[20 * dim], dim, 1e20f);
  const TestResult found = Run(tile).forward;
  for (int64_t row = 0; row < kRows; ++row) {
    EXPECT_EQ(std::isfinite(found.lse[row]), row != 7) << row;
    for (int d = 0; d < value_dim; ++d) {
      EXPECT_EQ(std::isfinite(found.output[row * value_dim + d]), row != 7) << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LargeScoresTest, ::testing::ValuesIn(testing::KernelsForAnyDim()),
                         testing::NameOfKernel);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LargeScoresTest);  // without AVX2

}  // namespace
}  // namespace flashcp

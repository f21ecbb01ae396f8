// Many keys, huge numbers and weights of 0: where sums lose bits, products overflow, and nothing
// times infinity is a NaN. The reference kernels and the generated ones.

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/cpu/cpu_kernels.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/reference_kernel.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"
#include "tests/testing/kernels_to_test.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp {
namespace {

using testing::SavedRows;
using testing::TestGradients;
using testing::TestResult;
using testing::TileCase;
using testing::TileShape;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The parameter null stands for the reference kernels.
class ExtremesTest : public ::testing::TestWithParam<const GeneratedKernel*> {
 protected:
  KernelSpec Spec(int dim) const {
    const bool pairs = GetParam() != nullptr && GetParam()->pairs;
    return {pairs ? model::DType::kBF16 : model::DType::kF32, 1, 1, dim, dim, 0.3f};
  }

  CpuKernels* Kernels(const KernelSpec& spec) {
    if (GetParam() == nullptr) return nullptr;
    kernels_ = CreateGeneratedAttention(*GetParam(), spec, &pool_).value();
    return kernels_.get();
  }

 private:
  WorkerPool pool_{1};
  std::unique_ptr<CpuKernels> kernels_;
};

// All weights are equal: O is what all values are, dQ what one key adds times the number of keys.
// Summed one by one, 131,072 values of 0.1 are off by 1e-3 of their sum.
TEST_P(ExtremesTest, ManyKeysLoseNoBits) {
  constexpr int64_t kKeys = 131072;
  constexpr float kNumber = 0.10009765625f;  // which bf16 holds too
  const KernelSpec spec = Spec(8);
  TileCase tile(spec, {0, 1, 0, kKeys, model::Mask::Full()}, 1);
  std::fill(tile.query.begin(), tile.query.end(), 0.0f);
  for (std::vector<float>* tensor : {&tile.key, &tile.value, &tile.output_gradient}) {
    std::fill(tensor->begin(), tensor->end(), kNumber);
  }
  CpuKernels* kernels = Kernels(spec);
  const TestResult forward = tile.Forward(kernels);
  const double rounding = spec.element == model::DType::kBF16 ? 0x1p-9 : 0;
  for (float x : forward.output) EXPECT_NEAR(x / kNumber, 1, 2e-5 + rounding);
  EXPECT_NEAR(forward.lse[0], std::log(kKeys), 2e-6);

  const TestGradients gradients =
      tile.Backward({{static_cast<float>(std::log(kKeys))}, {0}}, 0, kernels);
  const double expected = 8 * std::pow(kNumber, 3) * spec.scale;
  for (float x : gradients.query) EXPECT_NEAR(x / expected, 1, 2e-5 + rounding);
}

// dO V of a query and a key that it does not see.
TEST_P(ExtremesTest, ProductsOfMaskedPairsMayOverflow) {
  const KernelSpec spec = Spec(40);
  TileCase tile(spec, {0, 40, 0, 40, model::Mask::Causal()}, 1);
  CpuKernels* kernels = Kernels(spec);
  const SavedRows saved = tile.SavedBy(tile.Forward(kernels));
  const TestGradients expected = tile.Backward(saved, 0, kernels);
  std::fill_n(&tile.output_gradient[25 * spec.dim], spec.dim, 0x1p66f);
  std::fill_n(&tile.value[30 * spec.dim], spec.dim, 0x1p66f);
  SavedRows row_of_none = saved;
  row_of_none.lse[25] = -kInfinity;
  for (const SavedRows& rows : {saved, row_of_none}) {
    const TestGradients found = tile.Backward(rows, 0, kernels);
    for (int64_t row = 0; row < 40; ++row) {
      for (int d = 0; d < spec.dim; ++d) {
        const int64_t i = row * spec.dim + d;
        EXPECT_TRUE(std::isfinite(found.query[i])) << row;
        EXPECT_TRUE(std::isfinite(found.key[i])) << row;
        EXPECT_TRUE(std::isfinite(found.value[i])) << row;
        // What no pair with either of them adds to.
        if (row < 25) {
          EXPECT_NEAR(found.query[i], expected.query[i], 2e-2) << row;
        }
        if (row > 25 && row != 30) {
          EXPECT_NEAR(found.value[i], expected.value[i], 2e-2) << row;
        }
      }
    }
  }
}

// Its score is -inf, so that the row sees no key of any weight: O = 0, LSE = -inf.
TEST_P(ExtremesTest, AKeyOfNoWeightMayHaveAnyValue) {
  const KernelSpec spec = Spec(8);
  for (float value : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    TileCase tile(spec, {0, 1, 0, 1, model::Mask::Full()}, 1);
    tile.query[0] = 1;
    tile.key[0] = -kInfinity;
    tile.value[3] = value;
    const TestResult found = tile.Forward(Kernels(spec));
    EXPECT_EQ(found.lse[0], -kInfinity);
    for (float x : found.output) EXPECT_EQ(x, 0);
  }
}

// Positions in a tile that 32 bits with a sign do not count. K and V take no memory: all are zeros,
// of which the last queries' window reaches a hundred.
TEST_P(ExtremesTest, ATileMayHaveTwoToThe31Keys) {
  constexpr int64_t kKeys = int64_t{1} << 31;
  const KernelSpec spec = Spec(8);
  const size_t bytes = kKeys * 8 * (spec.element == model::DType::kBF16 ? 2 : 4);
  void* const zeros =
      mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) GTEST_SKIP() << "the host gives out no " << bytes << " bytes";
  constexpr int kRows = 40;
  const std::vector<float> query(kRows * 8);
  std::vector<float> output(kRows * 8), lse(kRows);
  const AttentionTile tile = {query.data(),
                              zeros,
                              zeros,
                              output.data(),
                              lse.data(),
                              nullptr,
                              kKeys - kRows,
                              0,
                              kRows,
                              kKeys,
                              model::Mask::Window(101).band(),
                              1,
                              1,
                              0,
                              1,
                              true,
                              true};
  if (CpuKernels* kernels = Kernels(spec)) {
    kernels->Forward({&tile, 1});
  } else {
    ReferenceAttention(spec, &tile, 1);
  }
  munmap(zeros, bytes);
  for (float x : lse) EXPECT_NEAR(x, std::log(101), 1e-6);
}

std::vector<const GeneratedKernel*> Parameters() {
  std::vector<const GeneratedKernel*> parameters = testing::KernelsForAnyDim();
  parameters.push_back(nullptr);
  return parameters;
}

INSTANTIATE_TEST_SUITE_P(All, ExtremesTest, ::testing::ValuesIn(Parameters()),
                         [](const ::testing::TestParamInfo<const GeneratedKernel*>& info) {
                           return info.param == nullptr ? "reference" : testing::NameOfKernel(info);
                         });

}  // namespace
}  // namespace flashcp

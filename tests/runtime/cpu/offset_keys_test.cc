// Keys with an offset that all of them share, as biases of real models give them. Softmax cancels
// it, and so does dQ, in its sum over keys: the better, the closer the weights of backward are to
// those that LSE and O of forward come from.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/dense_reference.h"
#include "runtime/check/error_measures.h"
#include "runtime/check/random_tensor.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"
#include "tests/testing/kernels_to_test.h"
#include "tests/testing/tile_case.h"

namespace flashcp {
namespace {

using testing::TileCase;

constexpr int kTokens = 256, kDim = 128;

class OffsetKeysTest : public ::testing::TestWithParam<const GeneratedKernel*> {};

// One causal document in f32; the offset is uniform in (-100, 100).
TEST_P(OffsetKeysTest, QueryGradientsKeepTheirDigits) {
  constexpr int64_t kTokens = 256;
  constexpr int kDim = 128;
  const KernelSpec spec = {model::DType::kF32, 2, 1, kDim, kDim, 0.08838835f};
  if (!Fits(*GetParam(), spec)) GTEST_SKIP() << "it takes bf16 alone, and rounds dS to it";
  TileCase tile(spec, {0, kTokens, 0, kTokens, model::Mask::Causal()}, 6);
  const std::vector<float> offset = RandomTensor(105, kDim, model::DType::kF32);
  for (size_t i = 0; i < tile.key.size(); ++i) {
    tile.key[i] += 100 / std::sqrt(3.0f) * offset[i % kDim];
  }
  WorkerPool pool(1);
  auto kernels = CreateGeneratedAttention(*GetParam(), spec, &pool).value();
  const testing::SavedRows saved = tile.SavedBy(tile.Forward(kernels.get()));
  const testing::TestGradients found = tile.Backward(saved, 0, kernels.get());
  const DenseProblem problem = {
      {{kTokens, model::Mask::Causal()}}, spec, tile.query, tile.key, tile.value};
  const DenseGradients expected =
      DenseAttentionBackward(problem, DenseAttention(problem), tile.output_gradient);
  EXPECT_LE(RelativeError(expected.query, found.query), 2e-5);
}

INSTANTIATE_TEST_SUITE_P(All, OffsetKeysTest, ::testing::ValuesIn(testing::KernelsForAnyDim()),
                         testing::NameOfKernel);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OffsetKeysTest);  // without AVX2

}  // namespace
}  // namespace flashcp

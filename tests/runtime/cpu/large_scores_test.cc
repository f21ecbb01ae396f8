// Scores that f32 holds, however large, and those that it does not, forward and backward.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/random_tensor.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"
#include "runtime/numeric.h"
#include "tests/testing/kernels_to_test.h"
#include "tests/testing/reference_attention.h"

namespace flashcp {
namespace {

using testing::ToElements;
using testing::ToFloats;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kRows = 50, kKeys = 150;

struct Results {
  std::vector<float> output, lse, query_gradient, key_gradient, value_gradient;
};

// One head, full mask, of rows and keys that tests choose.
struct Inputs {
  explicit Inputs(const GeneratedKernel& kernel)
      : spec{kernel.pairs ? ElementType::kBF16 : ElementType::kF32,
             1,
             1,
             kernel.any_dim ? 40 : kernel.dim,
             kernel.any_dim ? 40 : kernel.value_dim,
             0.3f},
        query(RandomTensor(1, kRows * spec.dim, spec.element)),
        key(RandomTensor(2, kKeys * spec.dim, spec.element)),
        value(RandomTensor(3, kKeys * spec.value_dim, spec.element)),
        gradient(RandomTensor(4, kRows * spec.value_dim, spec.element)) {}

  // Without `kernel` the plain one computes.
  Results Run(const GeneratedKernel* kernel) const {
    WorkerPool pool(1);
    std::unique_ptr<AttentionKernels> kernels;
    if (kernel != nullptr) kernels = CreateGeneratedAttention(*kernel, spec, &pool).value();
    const std::vector<char> q = ToElements(spec.element, query), k = ToElements(spec.element, key),
                            v = ToElements(spec.element, value),
                            g = ToElements(spec.element, gradient);
    std::vector<char> output(kRows * spec.value_dim * ElementBytes(spec.element));
    Results r;
    r.lse.resize(kRows);
    r.query_gradient.resize(query.size());
    r.key_gradient.resize(key.size());
    r.value_gradient.resize(value.size());
    const AttentionTile forward = {
        q.data(), k.data(), v.data(), output.data(),   r.lse.data(), nullptr, 0, 0, kRows, kKeys,
        0,        0,        1,        MaskType::kFull, true,         true};
    if (kernels == nullptr) {
      ReferenceAttention(spec, &forward, 1);
    } else {
      kernels->Forward({&forward, 1});
    }
    r.output = ToFloats(spec.element, output);
    std::vector<float> delta(kRows);
    for (int64_t i = 0; i < kRows * spec.value_dim; ++i) {
      delta[i / spec.value_dim] += r.output[i] * gradient[i];
    }
    const BackwardTile backward = {q.data(),
                                   k.data(),
                                   v.data(),
                                   g.data(),
                                   r.lse.data(),
                                   delta.data(),
                                   r.query_gradient.data(),
                                   r.key_gradient.data(),
                                   r.value_gradient.data(),
                                   0,
                                   0,
                                   kRows,
                                   kKeys,
                                   0,
                                   0,
                                   1,
                                   MaskType::kFull};
    if (kernels == nullptr) {
      ReferenceAttentionBackward(spec, &backward, 1);
    } else {
      kernels->Backward({&backward, 1});
    }
    return r;
  }

  const KernelSpec spec;
  std::vector<float> query, key, value, gradient;
};

void Scale(std::vector<float>* tensor, float factor) {
  for (float& x : *tensor) x *= factor;
}

bool AllFinite(const std::vector<float>& tensor) {
  return std::all_of(tensor.begin(), tensor.end(), [](float x) { return std::isfinite(x); });
}

// Differences of outputs, and of LSE relative to its size. Scores of some hundreds are rounded by
// 1e-4.
void ExpectSameOutputs(const Inputs& inputs, const Results& expected, const Results& found) {
  const double rounding = inputs.spec.element == ElementType::kBF16 ? 0x1p-7 : 0;
  for (size_t i = 0; i < found.output.size(); ++i) {
    const double allowed = (rounding + 3e-4) * std::max(1.0f, std::abs(expected.output[i]));
    ASSERT_NEAR(found.output[i], expected.output[i], allowed) << i;
  }
  for (int64_t row = 0; row < kRows; ++row) {
    ASSERT_NEAR(found.lse[row] / expected.lse[row], 1, 1e-6) << row;
  }
}

void ExpectFiniteGradients(const Results& results) {
  EXPECT_TRUE(AllFinite(results.query_gradient));
  EXPECT_TRUE(AllFinite(results.key_gradient));
  EXPECT_TRUE(AllFinite(results.value_gradient));
}

class LargeScoresTest : public ::testing::TestWithParam<const GeneratedKernel*> {};

// From where weights are all 0 or 1, up to scores of 1e30. The scale is no power of two: LSE then
// differs from the score that it comes from by rounding, times any number.
TEST_P(LargeScoresTest, NoScoreMakesANan) {
  for (float factor : {10.0f, 1e3f, 1e4f, 1e5f, 1e8f, 1e12f, 4e14f}) {
    SCOPED_TRACE(factor);
    Inputs inputs(*GetParam());
    Scale(&inputs.query, factor);
    Scale(&inputs.key, factor);
    const Results found = inputs.Run(GetParam());
    const Results plain = inputs.Run(nullptr);
    ExpectSameOutputs(inputs, plain, found);
    ExpectFiniteGradients(plain);
    ExpectFiniteGradients(found);
    // No weight is above 1.
    const int dim = inputs.spec.value_dim;
    for (int d = 0; d < dim; ++d) {
      double allowed = 1e-3;
      for (int64_t row = 0; row < kRows; ++row) {
        allowed += std::abs(inputs.gradient[row * dim + d]);
      }
      for (int64_t key = 0; key < kKeys; ++key) {
        ASSERT_LE(std::abs(found.value_gradient[key * dim + d]), allowed);
      }
    }
  }
}

TEST_P(LargeScoresTest, ProductsThatOverflowBelowWeighNothing) {
  Inputs inputs(*GetParam());
  const int dim = inputs.spec.dim;
  std::fill_n(&inputs.query[7 * dim], dim, 1e20f);
  for (int64_t key : {0, 20, 149}) std::fill_n(&inputs.key[key * dim], dim, -1e20f);
  const Results found = inputs.Run(GetParam());
  ExpectSameOutputs(inputs, inputs.Run(nullptr), found);
  ExpectFiniteGradients(found);
}

TEST_P(LargeScoresTest, ProductsThatOverflowAboveReachTheirRowAlone) {
  Inputs inputs(*GetParam());
  const int dim = inputs.spec.dim, value_dim = inputs.spec.value_dim;
  std::fill_n(&inputs.query[7 * dim], dim, 1e20f);
  std::fill_n(&inputs.key[20 * dim], dim, 1e20f);
  const Results found = inputs.Run(GetParam());
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

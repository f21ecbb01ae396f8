// The dense gradients against differences of the dense attention, so that they are not only
// compared with what they are there to judge.

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/dense_reference.h"
#include "tests/testing/reference_attention.h"

namespace flashcp {
namespace {

using testing::TestBatch;

KernelSpec Spec(int query_heads, int key_value_heads, int dim) {
  return {model::DType::kF32, query_heads, key_value_heads, dim, dim, 0.4f};  // not 1 / sqrt(dim)
}

// The loss whose gradient with respect to O is the batch's output_gradient.
double Loss(const TestBatch& batch) {
  const DenseResult result = batch.Reference();
  double loss = 0;
  for (size_t i = 0; i < result.output.size(); ++i) {
    loss += result.output[i] * batch.output_gradient[i];
  }
  return loss;
}

// Compares some elements of a gradient with central differences of the loss.
void ExpectGradient(TestBatch batch, std::vector<float> TestBatch::*tensor,
                    const std::vector<double>& gradient) {
  constexpr float kStep = 0x1p-10;
  ASSERT_EQ(gradient.size(), (batch.*tensor).size());
  for (size_t i = 3; i < gradient.size(); i += 1 + gradient.size() / 24) {
    const float x = (batch.*tensor)[i];
    (batch.*tensor)[i] = x + kStep;
    const double width = (batch.*tensor)[i];
    const double above = Loss(batch);
    (batch.*tensor)[i] = x - kStep;
    const double below = Loss(batch);
    EXPECT_NEAR(gradient[i], (above - below) / (width - (batch.*tensor)[i]), 1e-5) << i;
    (batch.*tensor)[i] = x;
  }
}

// Lengths around the 16 queries that are taken at a time; windows narrower and wider than that.
TEST(DenseBackwardTest, IsTheDerivativeOfTheForwardReference) {
  const std::vector<std::vector<model::Document>> batches = {
      {{1, model::Mask::Causal()}, {0, model::Mask::Causal()}, {17, model::Mask::Causal()}},
      {{15, model::Mask::Full()}, {20, model::Mask::Window(3)}},
      {{50, model::Mask::Window(19)}},
      {{37, model::Mask::Causal()}},
      {{40, model::Mask({-18, 7})}, {35, model::Mask({3, 20})}},
      {{40, model::Mask({model::Band::kNoLower, -5})},
       {33, model::Mask({-4, model::Band::kNoUpper})}}};
  for (const std::vector<model::Document>& documents : batches) {
    for (const KernelSpec& spec : {Spec(4, 2, 8), Spec(2, 1, 24)}) {
      TestBatch batch(documents, spec, /*seed=*/7);
      const DenseGradients gradients = batch.ReferenceGradients(batch.Reference());
      ExpectGradient(batch, &TestBatch::query, gradients.query);
      ExpectGradient(batch, &TestBatch::key, gradients.key);
      ExpectGradient(batch, &TestBatch::value, gradients.value);
    }
  }
}

// A NaN in key row kBad makes the gradients of the queries that see it NaN, and through them those
// of all keys that they see.
TEST(DenseBackwardTest, NaNReachesOnlyWhatMeetsIt) {
  constexpr int kLength = 40;
  constexpr int kBad = 21;
  TestBatch batch({{kLength, model::Mask::Window(6)}}, Spec(1, 1, 8), /*seed=*/1);
  batch.key[kBad * 8 + 2] = std::nanf("");
  const DenseGradients gradients = batch.ReferenceGradients(batch.Reference());
  for (int i = 0; i < kLength; ++i) {
    EXPECT_EQ(std::isnan(gradients.query[i * 8]), i >= kBad && i < kBad + 6) << i;
    EXPECT_EQ(std::isnan(gradients.value[i * 8]), i > kBad - 6 && i < kBad + 6) << i;
  }
}

}  // namespace
}  // namespace flashcp

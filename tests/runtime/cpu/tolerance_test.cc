// The rule of runtime/check/tolerance.h on inputs that are hard to compute exactly: every kernel,
// generated and reference, is within it in both passes.

#include "runtime/check/tolerance.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/check/random_tensor.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/numeric.h"
#include "tests/testing/kernels_to_test.h"
#include "tests/testing/reference_attention.h"

namespace flashcp {
namespace {

using testing::TestBatch;

void Multiply(float factor, std::vector<float>* tensor) {
  for (float& x : *tensor) x *= factor;
}

// Adds one random vector, uniform in [-size, size), to each row, as models with biases do.
void Offset(float size, const TestBatch& batch, std::vector<float>* tensor) {
  const int64_t row = tensor->size() / batch.tokens();
  const std::vector<float> offset = RandomTensor(99, row, model::DType::kF32);
  for (size_t i = 0; i < tensor->size(); ++i) (*tensor)[i] += size / 1.7320508f * offset[i % row];
}

struct HardInput {
  const char* name;
  void (*change)(TestBatch*);
};

const HardInput kHardInputs[] = {
    {"nothing", [](TestBatch*) {}},
    {"large scores", [](TestBatch* b) { Multiply(3, &b->query), Multiply(3, &b->key); }},
    {"huge scores", [](TestBatch* b) { Multiply(30, &b->query), Multiply(30, &b->key); }},
    {"equal scores", [](TestBatch* b) { Multiply(0, &b->key); }},
    {"an offset of Q", [](TestBatch* b) { Offset(10, *b, &b->query); }},
    {"an offset of K", [](TestBatch* b) { Offset(10, *b, &b->key); }},
    {"a large offset of K", [](TestBatch* b) { Offset(100, *b, &b->key); }},
    {"an offset of V", [](TestBatch* b) { Offset(100, *b, &b->value); }},
    {"an offset of dO", [](TestBatch* b) { Offset(100, *b, &b->output_gradient); }},
    {"small V and dO",
     [](TestBatch* b) { Multiply(0x1p-20f, &b->value), Multiply(0x1p-20f, &b->output_gradient); }},
};

// The worst ratio of all results; 1 is what the rule allows.
double WorstRatio(const TestBatch& batch, CpuKernels* kernels) {
  const DenseResult result = batch.Reference();
  const DenseGradients gradients = batch.ReferenceGradients(result);
  const testing::TestResult found = DenseKernel(batch, kernels);
  const testing::TestGradients found_gradients = DenseKernelGradients(batch, kernels);
  const double ratios[] = {
      FindWorst(result.output, result.output_allowed, found.output).ratio,
      FindWorst(result.lse, result.lse_allowed, found.lse).ratio,
      FindWorst(gradients.query, gradients.query_allowed, found_gradients.query).ratio,
      FindWorst(gradients.key, gradients.key_allowed, found_gradients.key).ratio,
      FindWorst(gradients.value, gradients.value_allowed, found_gradients.value).ratio};
  return *std::max_element(std::begin(ratios), std::end(ratios));
}

// Documents of about 100 tokens whose bands cut vectors, panels and blocks at every offset: behind
// the diagonal, across it and ahead of it, from one key a query to all, with queries that see none.
std::vector<model::Document> BandsAtAllOffsets() {
  std::vector<model::Document> documents;
  for (int lower = -50; lower < 50; ++lower) {
    for (int keys : {1, 2, 17, 64}) {
      documents.push_back({97 + lower % 5, model::Mask({lower, lower + keys - 1})});
    }
    documents.push_back({100, model::Mask({lower, model::Band::kNoUpper})});
    documents.push_back({100, model::Mask({model::Band::kNoLower, lower})});
  }
  return documents;
}

void ExpectBandsWithinTolerance(CpuKernels* kernels, const KernelSpec& spec) {
  TestBatch batch(BandsAtAllOffsets(), spec, 2);
  EXPECT_LE(WorstRatio(batch, kernels), 1) << "element type " << static_cast<int>(spec.element);
}

// Kernels are null for the reference kernels.
void ExpectWithinTolerance(const GeneratedKernel* kernel, model::DType element, int dim) {
  const KernelSpec spec = {element, 2, 1, dim, dim, 1 / std::sqrt(static_cast<float>(dim))};
  WorkerPool pool(1);
  std::unique_ptr<CpuKernels> kernels;
  if (kernel != nullptr) kernels = CreateGeneratedAttention(*kernel, spec, &pool).value();
  for (const HardInput& input : kHardInputs) {
    const std::vector<model::Document> documents = {{256, model::Mask::Causal()},
                                                    {1, model::Mask::Causal()},
                                                    {100, model::Mask::Full()},
                                                    {150, model::Mask::Window(40)}};
    TestBatch batch(documents, spec, 1);
    input.change(&batch);
    for (std::vector<float>* tensor :
         {&batch.query, &batch.key, &batch.value, &batch.output_gradient}) {
      *tensor = testing::ToFloats(element, testing::ToElements(element, *tensor));
    }
    const double ratio = WorstRatio(batch, kernels.get());
    EXPECT_LE(ratio, 1) << input.name << ", element type " << static_cast<int>(element);
  }
}

class ToleranceTest : public ::testing::TestWithParam<const GeneratedKernel*> {};

TEST_P(ToleranceTest, GeneratedKernelsAreWithinIt) {
  const GeneratedKernel& kernel = *GetParam();
  const int dim = kernel.any_dim ? 40 : kernel.dim;
  if (!kernel.any_dim && kernel.value_dim != dim) GTEST_SKIP() << "plans have one head dimension";
  for (model::DType element : {model::DType::kF32, model::DType::kBF16, model::DType::kF16}) {
    if (kernel.pairs && element != model::DType::kBF16) continue;
    ExpectWithinTolerance(&kernel, element, dim);
  }
}

TEST_P(ToleranceTest, GeneratedKernelsAreWithinItOnAnyBand) {
  const GeneratedKernel& kernel = *GetParam();
  if (!kernel.any_dim) GTEST_SKIP() << "other kernels mask by the code of this one";
  const model::DType element = kernel.pairs ? model::DType::kBF16 : model::DType::kF32;
  const KernelSpec spec = {element, 2, 1, 16, 16, 0.25f};
  WorkerPool pool(1);
  const auto kernels = CreateGeneratedAttention(kernel, spec, &pool).value();
  ExpectBandsWithinTolerance(kernels.get(), spec);
}

INSTANTIATE_TEST_SUITE_P(All, ToleranceTest, ::testing::ValuesIn(testing::KernelsToTest()),
                         testing::NameOfKernel);

TEST(PlainKernelToleranceTest, PlainKernelsAreWithinIt) {
  for (model::DType element : {model::DType::kF32, model::DType::kBF16, model::DType::kF16}) {
    ExpectWithinTolerance(nullptr, element, 128);
  }
}

TEST(PlainKernelToleranceTest, PlainKernelsAreWithinItOnAnyBand) {
  ExpectBandsWithinTolerance(nullptr, {model::DType::kF32, 2, 1, 16, 16, 0.25f});
}

}  // namespace
}  // namespace flashcp

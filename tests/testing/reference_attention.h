// Batches with random tensors for tests, and what they must give: in float64, and as the reference
// kernels compute it.

#ifndef FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_
#define FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/check/dense_reference.h"
#include "runtime/cpu/cpu_kernels.h"
#include "runtime/kernels.h"

namespace flashcp::testing {

// Elements of one type as the kernels take them.
std::vector<char> ToElements(model::DType type, absl::Span<const float> floats);
std::vector<float> ToFloats(model::DType type, absl::Span<const char> elements);

// A result that another one is compared with.
std::vector<double> ToDoubles(absl::Span<const float> floats);

// Documents in global order with seeded random tensors, rounded to the type of `spec`.
struct TestBatch {
  TestBatch(std::vector<model::Document> documents, const KernelSpec& spec, uint64_t seed);

  int64_t tokens() const;
  DenseResult Reference() const;
  DenseGradients ReferenceGradients(const DenseResult& reference) const;

  std::vector<model::Document> documents;
  KernelSpec spec;
  std::vector<float> query;
  std::vector<float> key;
  std::vector<float> value;
  std::vector<float> output_gradient;
};

// What a kernel or a plan gave, as floats.
struct TestResult {
  std::vector<float> output;
  std::vector<float> lse;
};

struct TestGradients {
  std::vector<float> query;
  std::vector<float> key;
  std::vector<float> value;
};

// The batch on one rank: one tile for each document. Gradients are rounded to the type of the
// batch, from the kernels' own output and LSE. Without `kernels` the reference kernels compute.
TestResult DenseKernel(const TestBatch& batch, CpuKernels* kernels = nullptr);
TestGradients DenseKernelGradients(const TestBatch& batch, CpuKernels* kernels = nullptr);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_

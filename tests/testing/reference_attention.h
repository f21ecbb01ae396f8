// Batches with random tensors for tests, what they must give (float64), and how far a result is
// from that.

#ifndef FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_
#define FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/check/dense_reference.h"
#include "runtime/kernels.h"

namespace flashcp::testing {

// Elements of one type as the kernels take them.
std::vector<char> ToElements(ElementType type, absl::Span<const float> floats);
std::vector<float> ToFloats(ElementType type, absl::Span<const char> elements);

// Documents in global order with seeded random tensors, rounded to the type of `spec`.
struct TestBatch {
  TestBatch(std::vector<DenseDocument> documents, const KernelSpec& spec, uint64_t seed);

  int64_t tokens() const;
  DenseResult Reference() const;
  DenseGradients ReferenceGradients() const;

  std::vector<DenseDocument> documents;
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

// The batch on one rank: the reference kernels on one tile for each document. Gradients are rounded
// to the type of the batch, from the kernel's own output and LSE.
TestResult DenseKernel(const TestBatch& batch);
TestGradients DenseKernelGradients(const TestBatch& batch);

// The largest |expected - found|; equal infinities differ by 0, a NaN or an infinity on one side
// only by infinity.
double MaxError(absl::Span<const double> expected, absl::Span<const float> found);

// MaxError over the largest |expected|, which is finite; 0 for nothing at all.
double RelativeError(absl::Span<const double> expected, absl::Span<const float> found);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_

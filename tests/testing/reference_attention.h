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

  std::vector<DenseDocument> documents;
  KernelSpec spec;
  std::vector<float> query;
  std::vector<float> key;
  std::vector<float> value;
};

// What a kernel or a plan gave, as floats.
struct TestResult {
  std::vector<float> output;
  std::vector<float> lse;
};

// The batch on one rank: the reference kernel on one tile for each document.
TestResult DenseKernel(const TestBatch& batch);

// The largest |expected - found|; equal infinities differ by 0, a NaN or an infinity on one side
// only by infinity.
double MaxError(absl::Span<const double> expected, absl::Span<const float> found);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_REFERENCE_ATTENTION_H_

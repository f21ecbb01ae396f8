// Dense attention in float64 over whole documents: what any plan has to compute, and how far from
// it rounding may take each element (tolerance.h). It shares no code with the kernels, the plan's
// programs or the executor.

#ifndef FLASHCP_RUNTIME_CHECK_DENSE_REFERENCE_H_
#define FLASHCP_RUNTIME_CHECK_DENSE_REFERENCE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/types/span.h"
#include "model/document.h"
#include "runtime/kernels.h"

namespace flashcp {

// A batch in global token order: documents one after the other. Elements are the values that the
// kernels see, already rounded to the dtype.
struct DenseProblem {
  std::vector<model::Document> documents;
  KernelSpec spec;                // value_dim is dim
  absl::Span<const float> query;  // [tokens, query_heads, dim]
  absl::Span<const float> key;    // [tokens, key_value_heads, dim]
  absl::Span<const float> value;  // [tokens, key_value_heads, dim]
};

struct DenseResult {
  std::vector<double> output;  // [tokens, query_heads, dim]
  std::vector<double> lse;     // [tokens, query_heads], natural log; -inf where no key has weight
  // The largest error that rounding explains, element by element.
  std::vector<float> output_allowed;
  std::vector<float> lse_allowed;
};

// Gradients of a loss, given its gradient with respect to O.
struct DenseGradients {
  std::vector<double> query;  // [tokens, query_heads, dim]
  std::vector<double> key;    // [tokens, key_value_heads, dim]
  std::vector<double> value;  // [tokens, key_value_heads, dim]
  // The largest error that rounding explains, element by element.
  std::vector<float> query_allowed;
  std::vector<float> key_allowed;
  std::vector<float> value_allowed;
};

// Receives the part of the work that is done, from 0 to 1; called by several threads at once.
using DenseProgress = std::function<void(double fraction)>;

// softmax(scale Q K^T) V and its log-sum-exp. Uses all cores; the result does not depend on
// their number. O(pairs * heads * dim) time, three products a pair; keys and values are copied as
// doubles.
DenseResult DenseAttention(const DenseProblem& problem, const DenseProgress& progress = nullptr);

// The gradients of the same by the chain rule, from weights that are computed again. `forward` is
// what DenseAttention returned, output_gradient [tokens, query_heads, dim]. Uses all cores; the
// result does not depend on their number. O(pairs * heads * dim) time, five products a pair and
// four for the errors that are allowed.
DenseGradients DenseAttentionBackward(const DenseProblem& problem, const DenseResult& forward,
                                      absl::Span<const float> output_gradient,
                                      const DenseProgress& progress = nullptr);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CHECK_DENSE_REFERENCE_H_

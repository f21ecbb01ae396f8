// Dense attention in float64 over whole documents: what any plan has to compute. It shares no code
// with the kernels, the plan's programs or the executor.

#ifndef FLASHCP_RUNTIME_CHECK_DENSE_REFERENCE_H_
#define FLASHCP_RUNTIME_CHECK_DENSE_REFERENCE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/kernels.h"
#include "runtime/plan/plan.h"

namespace flashcp {

struct DenseDocument {
  int64_t length;
  MaskType mask;
  int64_t window;  // keys that a query sees, with MaskType::kWindow
};

// A batch in global token order: documents one after the other. Elements are the values that the
// kernels see, already rounded to the dtype.
struct DenseProblem {
  std::vector<DenseDocument> documents;
  int query_heads;
  int key_value_heads;
  int dim;
  absl::Span<const float> query;  // [tokens, query_heads, dim]
  absl::Span<const float> key;    // [tokens, key_value_heads, dim]
  absl::Span<const float> value;  // [tokens, key_value_heads, dim]
};

struct DenseResult {
  std::vector<double> output;  // [tokens, query_heads, dim]
  std::vector<double> lse;     // [tokens, query_heads], natural log; -inf where no key has weight
};

// The documents of a plan.
std::vector<DenseDocument> DenseDocumentsOf(const Plan& plan);

// Gradients of a loss, given its gradient with respect to O.
struct DenseGradients {
  std::vector<double> query;  // [tokens, query_heads, dim]
  std::vector<double> key;    // [tokens, key_value_heads, dim]
  std::vector<double> value;  // [tokens, key_value_heads, dim]
};

// softmax(Q K^T / sqrt(dim)) V and its log-sum-exp. Uses all cores; the result does not depend on
// their number. O(pairs * heads * dim) time; keys and values are copied as doubles.
DenseResult DenseAttention(const DenseProblem& problem);

// The gradients of the same by the chain rule, from weights that are computed again.
// output_gradient is [tokens, query_heads, dim]. Uses all cores; the result does not depend on
// their number. O(pairs * heads * dim) time, five products a pair.
DenseGradients DenseAttentionBackward(const DenseProblem& problem,
                                      absl::Span<const float> output_gradient);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CHECK_DENSE_REFERENCE_H_

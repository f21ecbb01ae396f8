// The tensors of a whole batch, in global token order (documents one after the other), elements of
// the plan's dtype.

#ifndef FLASHCP_SESSION_TENSORS_H_
#define FLASHCP_SESSION_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/kernels.h"
#include "runtime/plan/plan.h"

namespace flashcp::session {

// Bytes of one token's row, by tensor.
struct RowBytes {
  size_t query;      // and of O
  size_t key_value;  // of K, and of V
  size_t lse;
};
RowBytes RowBytesOf(const Plan& plan);

struct BatchTensors {
  std::string query;   // [tokens, query heads, dim]
  std::string key;     // [tokens, key/value heads, dim]
  std::string value;   // [tokens, key/value heads, dim]
  std::string output;  // [tokens, query heads, dim]
  std::string lse;     // [tokens, query heads], float32
  // With a backward pass; empty without one.
  std::string output_gradient;  // [tokens, query heads, dim]
  std::string query_gradient;   // [tokens, query heads, dim]
  std::string key_gradient;     // [tokens, key/value heads, dim]
  std::string value_gradient;   // [tokens, key/value heads, dim]
};

// Converts elements of one type to floats, and floats to elements.
std::vector<float> FloatsOf(model::DType type, const std::string& elements);
std::string ElementsOf(model::DType type, const std::vector<float>& floats);

// Makes room for the results of a batch whose inputs are there.
void AddResults(const Plan& plan, bool backward, BatchTensors* tensors);

// Makes uniform random Q, K and V, and dO with a backward pass, which depend on the seed alone and
// not on the machine; and room for the results.
BatchTensors RandomTensors(const Plan& plan, uint64_t seed, bool backward);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_TENSORS_H_

// The tensors of a whole batch for `flashcp run`: made or read, run on and written. All in global
// token order (documents one after the other), elements of the plan's dtype.

#ifndef FLASHCP_TOOLS_CLI_TENSORS_H_
#define FLASHCP_TOOLS_CLI_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/kernels.h"
#include "runtime/plan/plan.h"
#include "support/files.h"

namespace flashcp::cli {

// Bytes of one token's row.
struct RowBytes {
  size_t query;      // of O too
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

// Elements of one type as floats.
std::vector<float> FloatsOf(ElementType type, const std::string& elements);

// Uniform random Q, K and V, and dO with a backward pass, the same for the same seed on every
// machine; room for the results.
BatchTensors RandomTensors(const Plan& plan, uint64_t seed, bool backward);

// Q, K and V from q.npy, k.npy and v.npy of a folder, and dO from do.npy with a backward pass:
// float32, rounded to the plan's dtype, or float16 for a plan of f16. InvalidArgument or NotFound,
// naming the file.
absl::StatusOr<BatchTensors> ReadTensors(const Plan& plan, const std::string& folder,
                                         bool backward);

// o.npy (float32, or float16 for a plan of f16) and lse.npy (float32) of a folder, which is made
// where there is none; with a backward pass dq.npy, dk.npy and dv.npy, as o.npy. Create it before
// the work, so that a bad folder is known early.
class TensorWriter {
 public:
  static absl::StatusOr<TensorWriter> Create(const std::string& folder, bool backward);
  // All files appear, or none where one cannot be written.
  absl::Status Write(const Plan& plan, const BatchTensors& tensors);

 private:
  explicit TensorWriter(std::vector<OutputFile> files);
  std::vector<OutputFile> files_;  // o, lse, dq, dk, dv
};

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TENSORS_H_

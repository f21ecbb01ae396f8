// The tensors of a whole batch for `flashcp run`: made or read, run on, written and checked. All in
// global token order (documents one after the other), elements of the plan's dtype.

#ifndef FLASHCP_TOOLS_CLI_TENSORS_H_
#define FLASHCP_TOOLS_CLI_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
};

// Uniform random Q, K and V, the same for the same seed on every machine; room for O and LSE.
BatchTensors RandomTensors(const Plan& plan, uint64_t seed);

// Q, K and V from q.npy, k.npy and v.npy of a folder: float32, rounded to the plan's dtype, or
// float16 for a plan of f16. InvalidArgument or NotFound, naming the file.
absl::StatusOr<BatchTensors> ReadTensors(const Plan& plan, const std::string& folder);

// o.npy (float32, or float16 for a plan of f16) and lse.npy (float32) of a folder, which is made
// where there is none. Create it before the work, so that a bad folder is known early.
class TensorWriter {
 public:
  static absl::StatusOr<TensorWriter> Create(const std::string& folder);
  // Both files appear, or none where one cannot be written.
  absl::Status Write(const Plan& plan, const BatchTensors& tensors);

 private:
  TensorWriter(OutputFile output, OutputFile lse);
  OutputFile output_;
  OutputFile lse_;
};

// The largest errors of O and LSE against float64 attention, relative to max(1, |reference|), and
// what is allowed. O: 2e-5 for sums in float32, and for bf16 and f16 the dtype's epsilon (2^-7 and
// 2^-10: O is rounded to it) on top. LSE, which stays float32: 2e-5.
struct CheckResult {
  double output_error;
  double lse_error;
  double output_allowed;
  double lse_allowed;

  bool ok() const { return output_error <= output_allowed && lse_error <= lse_allowed; }
};
CheckResult CheckTensors(const Plan& plan, const BatchTensors& tensors);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TENSORS_H_

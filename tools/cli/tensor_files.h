// Tensors of a batch as NumPy files of a folder: those that a run reads, and those that it writes.

#ifndef FLASHCP_TOOLS_CLI_TENSOR_FILES_H_
#define FLASHCP_TOOLS_CLI_TENSOR_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/plan/plan.h"
#include "session/tensors.h"
#include "support/files.h"

namespace flashcp::cli {

// Reads Q, K and V from q.npy, k.npy and v.npy of a folder, and dO from do.npy with a backward
// pass: float32, rounded to the plan's dtype, or float16 for a plan of f16. InvalidArgument or
// NotFound, naming the file.
absl::StatusOr<session::BatchTensors> ReadTensors(const Plan& plan, const std::string& folder,
                                                  bool backward);

// The files o.npy (float32, or float16 for a plan of f16) and lse.npy (float32) of a folder, which
// is made if there is none; with a backward pass dq.npy, dk.npy and dv.npy, as o.npy. Create it
// before the work, so that a bad folder is known early.
class TensorWriter {
 public:
  static absl::StatusOr<TensorWriter> Create(const std::string& folder, bool backward);
  // Writes all files, or none if one cannot be written.
  absl::Status Write(const Plan& plan, const session::BatchTensors& tensors);

 private:
  explicit TensorWriter(std::vector<OutputFile> files);
  std::vector<OutputFile> files_;  // o, lse, dq, dk, dv
};

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TENSOR_FILES_H_

// NumPy's .npy files, as far as attention tensors need them: little-endian float32 and float16 in
// C order. The files are untrusted.

#ifndef FLASHCP_TOOLS_CLI_NPY_H_
#define FLASHCP_TOOLS_CLI_NPY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp::cli {

enum class NpyType { kFloat32, kFloat16 };

struct NpyHeader {
  NpyType type = NpyType::kFloat32;
  std::vector<int64_t> shape;
  int64_t data_offset = 0;  // bytes before the first element
  int64_t data_bytes = 0;   // of all elements
};

// Reads the header at the start of `bytes`, which may be cut anywhere. InvalidArgument,
// "name: ...", for anything but a well-formed header of a supported type and order.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view name, absl::string_view bytes);

struct NpyArray {
  NpyType type;
  std::string elements;  // in the order of the file
};

// Reads a file that must hold this shape in one of these types and nothing after it. All of that
// is checked before memory is taken for the elements. NotFound or InvalidArgument, with the
// expected and the found value; errors start with the path.
absl::StatusOr<NpyArray> ReadNpy(const std::string& path, const std::vector<int64_t>& shape,
                                 const std::vector<NpyType>& types);

// Returns the bytes that come before the elements of an array, format version 1.0.
std::string MakeNpyHeader(NpyType type, const std::vector<int64_t>& shape);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_NPY_H_

// Any bytes as an npy file: a header that survives being written and read again and, where the file
// has the size it claims, its elements; or an error that begins with the name.

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/cli/npy.h"

namespace flashcp::cli {
namespace {

void CheckRoundTrip(const NpyHeader& header) {
  auto again = ParseNpyHeader("npy", MakeNpyHeader(header.type, header.shape));
  assert(again.ok());
  assert(again->type == header.type && again->shape == header.shape);
  assert(again->data_bytes == header.data_bytes);
}

void CheckFile(absl::string_view bytes, const NpyHeader& header) {
  int descriptor = memfd_create("npy", 0);
  assert(descriptor >= 0);
  ssize_t written = write(descriptor, bytes.data(), bytes.size());
  assert(written == static_cast<ssize_t>(bytes.size()));
  std::string path = absl::StrCat("/proc/self/fd/", descriptor);
  auto array = ReadNpy(path, header.shape, {NpyType::kFloat32, NpyType::kFloat16});
  uint64_t claimed = header.data_offset + header.data_bytes;
  assert(array.ok() == (claimed == bytes.size()));
  if (array.ok()) {
    assert(array->elements == bytes.substr(header.data_offset));
  } else {
    assert(absl::IsInvalidArgument(array.status()));
    assert(absl::StartsWith(array.status().message(), absl::StrCat(path, ":")));
  }
  close(descriptor);
}

}  // namespace
}  // namespace flashcp::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flashcp::cli;
  absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto header = ParseNpyHeader("npy", bytes);
  if (header.ok()) {
    assert(header->data_offset <= static_cast<int64_t>(size) && header->data_bytes >= 0);
    CheckRoundTrip(*header);
    CheckFile(bytes, *header);
  } else {
    assert(absl::IsInvalidArgument(header.status()));
    assert(absl::StartsWith(header.status().message(), "npy:"));
  }
  return 0;
}

// This reader is written here because the library at hand does not fit: xtensor's xnpy (Debian's
// libxtensor-dev) knows no float16, wants the header's keys in one order, and allocates what a
// hostile header claims before it looks at the file's size.
//
// A file is "\x93NUMPY", two version bytes, the length of the header (2 bytes in version 1, 4
// after), the header, a Python dictionary in text, and the elements. Source: numpy.lib.format.

#include "tools/cli/npy.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "support/quoted.h"
#include "support/status_macros.h"

namespace flashcp::cli {
namespace {

constexpr absl::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeaderBytes = 1 << 16;
constexpr int64_t kMaxArrayBytes = int64_t{1} << 46;  // far from overflow, more than any memory

int64_t BytesOf(NpyType type) { return type == NpyType::kFloat32 ? 4 : 2; }
const char* NameOf(NpyType type) { return type == NpyType::kFloat32 ? "float32" : "float16"; }

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), shape.size() == 1 ? ",)" : ")");
}

// Parser of the dictionary: its three keys, each once, in any order.
class HeaderParser {
 public:
  HeaderParser(absl::string_view name, absl::string_view text) : name_(name), rest_(text) {}

  absl::Status Parse(NpyHeader* header) {
    bool seen[3] = {false, false, false};
    if (!Consume("{")) return Malformed();
    while (!Consume("}")) {
      if (Key("descr", &seen[0])) {
        RETURN_IF_ERROR(Descr(&header->type));
      } else if (Key("fortran_order", &seen[1])) {
        RETURN_IF_ERROR(FortranOrder());
      } else if (Key("shape", &seen[2])) {
        RETURN_IF_ERROR(Shape(&header->shape));
      } else {
        return Malformed();
      }
      if (!Consume(",") && !absl::StartsWith(rest_, "}")) return Malformed();
    }
    SkipSpace();
    if (!rest_.empty() || !seen[0] || !seen[1] || !seen[2]) return Malformed();
    return absl::OkStatus();
  }

 private:
  absl::Status Error(absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", message));
  }
  absl::Status Malformed() const {
    return Error(absl::StrCat("malformed npy header at ", Quoted(rest_),
                              "; expected {'descr': ..., 'fortran_order': ..., 'shape': ...}"));
  }
  void SkipSpace() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  // Takes `token` and the space around it.
  bool Consume(absl::string_view token) {
    SkipSpace();
    if (!absl::ConsumePrefix(&rest_, token)) return false;
    SkipSpace();
    return true;
  }
  bool Key(absl::string_view key, bool* seen) {
    if (*seen || !Consume(absl::StrCat("'", key, "'"))) return false;
    *seen = true;
    return Consume(":");
  }

  absl::Status Descr(NpyType* type) {
    if (Consume("'<f4'")) {
      *type = NpyType::kFloat32;
    } else if (Consume("'<f2'")) {
      *type = NpyType::kFloat16;
    } else {
      return Error(absl::StrCat("expected the dtype '<f4' (float32) or '<f2' (float16), found ",
                                rest_.substr(0, std::min<size_t>(rest_.find(','), 40))));
    }
    return absl::OkStatus();
  }
  absl::Status FortranOrder() {
    if (Consume("False")) return absl::OkStatus();
    if (Consume("True")) {
      return Error("in Fortran order, expected C order (numpy.ascontiguousarray makes it)");
    }
    return Malformed();
  }
  absl::Status Shape(std::vector<int64_t>* shape) {
    if (!Consume("(")) return Malformed();
    while (!Consume(")")) {
      size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
      int64_t size;
      if (!absl::SimpleAtoi(rest_.substr(0, digits), &size) || shape->size() == 32) {
        return Malformed();
      }
      shape->push_back(size);
      rest_.remove_prefix(digits);
      if (!Consume(",") && !absl::StartsWith(rest_, ")")) return Malformed();
    }
    return absl::OkStatus();
  }

  absl::string_view name_;
  absl::string_view rest_;
};

// Returns the bytes of all elements; -1 if the product overflows or is beyond any memory.
int64_t ElementBytes(const NpyHeader& header) {
  int64_t bytes = BytesOf(header.type);
  for (int64_t size : header.shape) {
    if (size == 0) return 0;
    if (bytes > kMaxArrayBytes / size) return -1;
    bytes *= size;
  }
  return bytes;
}

// Compare the header with the shape and types that were asked for, and with the file.
absl::Status CheckHeader(const std::string& path, const NpyHeader& header,
                         const std::vector<int64_t>& shape, const std::vector<NpyType>& types,
                         int64_t file_bytes) {
  auto error = [&](absl::string_view what, const std::string& expected, const std::string& found) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected ", what, " ", expected, ", found ", found));
  };
  if (std::find(types.begin(), types.end(), header.type) == types.end()) {
    std::string allowed = absl::StrJoin(
        types, " or ", [](std::string* out, NpyType type) { out->append(NameOf(type)); });
    return error("dtype", allowed, NameOf(header.type));
  }
  if (header.shape != shape) return error("shape", ShapeText(shape), ShapeText(header.shape));
  int64_t expected_bytes = header.data_offset + header.data_bytes;
  if (file_bytes != expected_bytes) {
    return error("a file of", absl::StrCat(expected_bytes, " bytes for shape ", ShapeText(shape)),
                 absl::StrCat(file_bytes, file_bytes < expected_bytes ? " (truncated)" : ""));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view name, absl::string_view bytes) {
  auto error = [&](absl::string_view message) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", message));
  };
  if (!absl::StartsWith(bytes, kMagic)) return error("not an npy file");
  if (bytes.size() < kMagic.size() + 2) return error("truncated npy header");
  int version = static_cast<unsigned char>(bytes[kMagic.size()]);
  if (version < 1 || version > 3) {
    return error(absl::StrCat("npy format version ", version, ", expected 1, 2 or 3"));
  }
  size_t start = kMagic.size() + 2;
  size_t length_bytes = version == 1 ? 2 : 4;
  if (bytes.size() < start + length_bytes) return error("truncated npy header");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    length |= size_t{static_cast<unsigned char>(bytes[start + i])} << (8 * i);
  }
  start += length_bytes;
  if (start + length > kMaxHeaderBytes) {
    return error(absl::StrCat("npy header of ", length, " bytes, at most ", kMaxHeaderBytes - start,
                              " are allowed"));
  }
  if (bytes.size() < start + length) return error("truncated npy header");
  NpyHeader header;
  header.data_offset = start + length;
  RETURN_IF_ERROR(HeaderParser(name, bytes.substr(start, length)).Parse(&header));
  header.data_bytes = ElementBytes(header);
  if (header.data_bytes < 0) {
    return error(absl::StrCat("shape ", ShapeText(header.shape), " is too large"));
  }
  return header;
}

absl::StatusOr<NpyArray> ReadNpy(const std::string& path, const std::vector<int64_t>& shape,
                                 const std::vector<NpyType>& types) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  }
  std::string start(kMaxHeaderBytes, '\0');
  file.read(&start[0], start.size());
  start.resize(file.gcount());
  ASSIGN_OR_RETURN(NpyHeader header, ParseNpyHeader(path, start));
  file.clear();
  file.seekg(0, std::ios::end);
  RETURN_IF_ERROR(CheckHeader(path, header, shape, types, file.tellg()));
  NpyArray array{header.type, std::string(header.data_bytes, '\0')};
  file.seekg(header.data_offset);
  if (!file.read(&array.elements[0], array.elements.size())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  }
  return array;
}

std::string MakeNpyHeader(NpyType type, const std::vector<int64_t>& shape) {
  constexpr size_t kAlignment = 64;
  std::string text = absl::StrCat("{'descr': '<f", BytesOf(type),
                                  "', 'fortran_order': False, 'shape': ", ShapeText(shape), ", }");
  size_t unpadded = kMagic.size() + 4 + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text.push_back('\n');
  std::string header = absl::StrCat(kMagic, absl::string_view("\1\0", 2));
  header.push_back(static_cast<char>(text.size() & 0xff));
  header.push_back(static_cast<char>(text.size() >> 8));
  return header + text;
}

}  // namespace flashcp::cli

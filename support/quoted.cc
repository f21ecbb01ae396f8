// Escapes bytes that a terminal would not print, and cuts what would fill the line.

#include "support/quoted.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace flashcp {

std::string Quoted(absl::string_view text) {
  constexpr size_t kLongest = 64;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kLongest)),
                      text.size() > kLongest ? "..." : "", "'");
}

}  // namespace flashcp

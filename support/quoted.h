// User text in messages: what a person typed, or a file held, made safe to print.

#ifndef FLASHCP_SUPPORT_QUOTED_H_
#define FLASHCP_SUPPORT_QUOTED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace flashcp {

// The text escaped, in single quotes, cut after 64 bytes.
std::string Quoted(absl::string_view text);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_QUOTED_H_

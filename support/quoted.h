// Text of a user or a file in messages, made safe to print.

#ifndef FLASHCP_SUPPORT_QUOTED_H_
#define FLASHCP_SUPPORT_QUOTED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace flashcp {

// Returns the text escaped, in single quotes, cut after 64 bytes.
std::string Quoted(absl::string_view text);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_QUOTED_H_

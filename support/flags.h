// The meaning of single flags: text to values, with errors that name the flag, what was found and
// what is allowed.

#ifndef FLASHCP_SUPPORT_FLAGS_H_
#define FLASHCP_SUPPORT_FLAGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp {

// "--flag: message" of the same code; OK stays OK.
absl::Status OfFlag(absl::string_view flag, const absl::Status& status);

// An integer of [min, max], a multiple of `step`.
absl::StatusOr<int64_t> IntegerFlag(absl::string_view flag, absl::string_view text, int64_t min,
                                    int64_t max, int64_t step = 1);

// The index of `text` in `names`; the error names the nearest of them.
absl::StatusOr<int> NameFlag(absl::string_view flag, absl::string_view what, absl::string_view text,
                             const std::vector<std::string>& names);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_FLAGS_H_

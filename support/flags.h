// The meaning of single flags: text to values, with errors that name the flag, the text that was
// found and the values that are allowed.

#ifndef FLASHCP_SUPPORT_FLAGS_H_
#define FLASHCP_SUPPORT_FLAGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp {

// Returns "--flag: message" with the code of `status`; OK stays OK.
absl::Status OfFlag(absl::string_view flag, const absl::Status& status);

// The integers that a flag takes: multiples of `step` from `min` to `max`, both included.
struct IntegerRange {
  int64_t min;
  int64_t max;
  int64_t step = 1;
};

// Returns "1 to 1024" or "8 to 256 in steps of 8", for help.
std::string RangeText(const IntegerRange& range);

// Reads an integer of the range.
absl::StatusOr<int64_t> IntegerFlag(absl::string_view flag, absl::string_view text,
                                    const IntegerRange& range);

// Returns the index of `text` in `names`; the error names the nearest of them.
absl::StatusOr<int> NameFlag(absl::string_view flag, absl::string_view what, absl::string_view text,
                             const std::vector<std::string>& names);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_FLAGS_H_

#include "support/flags.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "support/nearest_name.h"
#include "support/quoted.h"

namespace flashcp {

absl::Status OfFlag(absl::string_view flag, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(flag, ": ", status.message()));
}

absl::StatusOr<int64_t> IntegerFlag(absl::string_view flag, absl::string_view text, int64_t min,
                                    int64_t max, int64_t step) {
  int64_t value;
  if (absl::SimpleAtoi(text, &value) && value >= min && value <= max && value % step == 0) {
    return value;
  }
  const std::string kind = step == 1 ? "an integer" : absl::StrCat("a multiple of ", step);
  return absl::InvalidArgumentError(absl::StrCat(flag, ": expected ", kind, " from ", min, " to ",
                                                 max, ", found ", Quoted(text)));
}

absl::StatusOr<int> NameFlag(absl::string_view flag, absl::string_view what, absl::string_view text,
                             const std::vector<std::string>& names) {
  auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", UnknownNameMessage(what, text, names)));
}

}  // namespace flashcp

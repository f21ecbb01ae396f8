// Each error is a line: the flag, the values that it takes, and the text that was found.

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

std::string RangeText(const IntegerRange& range) {
  const std::string steps = range.step == 1 ? "" : absl::StrCat(" in steps of ", range.step);
  return absl::StrCat(range.min, " to ", range.max, steps);
}

absl::StatusOr<int64_t> IntegerFlag(absl::string_view flag, absl::string_view text,
                                    const IntegerRange& range) {
  int64_t value;
  if (absl::SimpleAtoi(text, &value) && value >= range.min && value <= range.max &&
      value % range.step == 0) {
    return value;
  }
  const std::string kind =
      range.step == 1 ? "an integer" : absl::StrCat("a multiple of ", range.step);
  return absl::InvalidArgumentError(absl::StrCat(flag, ": expected ", kind, " from ", range.min,
                                                 " to ", range.max, ", found ", Quoted(text)));
}

absl::StatusOr<int> NameFlag(absl::string_view flag, absl::string_view what, absl::string_view text,
                             const std::vector<std::string>& names) {
  auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", UnknownNameMessage(what, text, names)));
}

}  // namespace flashcp

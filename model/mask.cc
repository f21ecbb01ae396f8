// Reads and writes the names of masks.

#include "model/mask.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "support/nearest_name.h"
#include "support/quoted.h"

namespace flashcp::model {

std::string MaskText(const Mask& mask) {
  if (mask.IsCausal()) return "causal";
  if (mask.IsFull()) return "full";
  if (mask.window() > 0) return absl::StrCat("window:", mask.window());
  return absl::StrCat("band:", mask.band().lower, ":", mask.band().upper);
}

absl::StatusOr<Mask> ParseMask(absl::string_view text) {
  if (text == "causal") return Mask::Causal();
  if (text == "full") return Mask::Full();
  absl::string_view width = text;
  if (absl::ConsumePrefix(&width, "window:")) {
    int64_t window;
    if (absl::SimpleAtoi(width, &window) && window >= 1 && window <= kMaxTokens) {
      return Mask::Window(window);
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "mask window:W: expected W, an integer from 1 to ", kMaxTokens, ", found ", Quoted(width)));
  }
  return absl::InvalidArgumentError(
      UnknownNameMessage("mask", text, {"causal", "full", "window:W"}));
}

}  // namespace flashcp::model

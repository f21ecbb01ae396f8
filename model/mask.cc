// Reads and writes the names of masks.

#include "model/mask.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "support/nearest_name.h"
#include "support/quoted.h"

namespace flashcp::model {

std::string MaskText(const Mask& mask, const MaskSyntax& syntax) {
  if (mask.IsCausal()) return "causal";
  if (mask.IsFull()) return "full";
  if (mask.window() > 0) return absl::StrCat("window", syntax.open, mask.window(), syntax.close);
  return absl::StrCat("band", syntax.open, mask.band().lower, ":", mask.band().upper, syntax.close);
}

absl::StatusOr<Mask> ParseMask(absl::string_view text, const MaskSyntax& syntax) {
  if (text == "causal") return Mask::Causal();
  if (text == "full") return Mask::Full();
  const std::string window_w = absl::StrCat("window", syntax.open, "W", syntax.close);
  absl::string_view width = text;
  if (absl::ConsumePrefix(&width, "window") && absl::ConsumePrefix(&width, syntax.open) &&
      absl::ConsumeSuffix(&width, syntax.close)) {
    int64_t window;
    if (absl::SimpleAtoi(width, &window) && window >= 1 && window <= kMaxTokens) {
      return Mask::Window(window);
    }
    return absl::InvalidArgumentError(absl::StrCat("mask ", window_w,
                                                   ": expected W, an integer from 1 to ",
                                                   kMaxTokens, ", found ", Quoted(width)));
  }
  return absl::InvalidArgumentError(UnknownNameMessage("mask", text, {"causal", "full", window_w}));
}

}  // namespace flashcp::model

#include "compiler/input/mask.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "support/nearest_name.h"
#include "support/quoted.h"

namespace flashcp {

absl::StatusOr<solver::Mask> ParseMask(absl::string_view text) {
  if (text == "causal") return solver::Mask{solver::MaskKind::kCausal, 0};
  if (text == "full") return solver::Mask{solver::MaskKind::kFull, 0};
  absl::string_view width = text;
  if (absl::ConsumePrefix(&width, "window:")) {
    int64_t window;
    if (absl::SimpleAtoi(width, &window) && window >= 1 && window <= solver::kMaxTokens) {
      return solver::Mask{solver::MaskKind::kWindow, window};
    }
    return absl::InvalidArgumentError(
        absl::StrCat("mask window:W: expected W, an integer from 1 to ", solver::kMaxTokens,
                     ", found ", Quoted(width)));
  }
  return absl::InvalidArgumentError(
      UnknownNameMessage("mask", text, {"causal", "full", "window:W"}));
}

}  // namespace flashcp

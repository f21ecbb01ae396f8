// Lists the named masks, and reads and writes names.

#include "model/mask.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "support/nearest_name.h"
#include "support/quoted.h"
#include "support/status_macros.h"

namespace flashcp::model {
namespace {

// A name of one band, or of a band for each number from 1 to kMaxTokens.
struct NamedMask {
  absl::string_view name;
  absl::string_view letter;             // that stands for the number; empty for one band
  Band (*band)(int64_t number);         // `number` is 1 for one band
  int64_t (*number)(const Band& band);  // the one that the band has if it is of this name
  absl::string_view help;               // of what the name does not say itself
};

int64_t One(const Band&) { return 1; }

constexpr NamedMask kNamedMasks[] = {
    {"causal", "", [](int64_t) { return Mask::Causal().band(); }, One, ""},
    {"full", "", [](int64_t) { return Mask::Full().band(); }, One, ""},
    {"window", "W", [](int64_t w) { return Mask::Window(w).band(); },
     [](const Band& band) { return 1 - int64_t{band.lower}; }, "causal over the last W keys"},
};

constexpr absl::string_view kBand = "band";
constexpr absl::string_view kLimits = "LOWER:UPPER";
constexpr absl::string_view kBandHelp =
    "query i sees key j if LOWER <= j - i <= UPPER, each an integer or none";
constexpr absl::string_view kNone = "none";

// Limits beyond these hide no pair that the longest document has, or all.
constexpr int64_t kLeastLimit = 1 - kMaxTokens;
constexpr int64_t kMostLimit = kMaxTokens - 2;

std::string WithNumbers(absl::string_view name, absl::string_view numbers,
                        const MaskSyntax& syntax) {
  if (numbers.empty()) return std::string(name);
  return absl::StrCat(name, syntax.open, numbers, syntax.close);
}

std::vector<std::string> AllNames(const MaskSyntax& syntax) {
  std::vector<std::string> names;
  for (const NamedMask& mask : kNamedMasks) {
    names.push_back(WithNumbers(mask.name, mask.letter, syntax));
  }
  names.push_back(WithNumbers(kBand, kLimits, syntax));
  return names;
}

// Removes what stands around the numbers of a name; returns false if the text is not of this name.
bool TakeNumbers(absl::string_view name, const MaskSyntax& syntax, absl::string_view* text) {
  absl::string_view rest = *text;
  if (!absl::ConsumePrefix(&rest, name) || !absl::ConsumePrefix(&rest, syntax.open) ||
      !absl::ConsumeSuffix(&rest, syntax.close)) {
    return false;
  }
  *text = rest;
  return true;
}

absl::StatusOr<int32_t> ParseLimit(const std::string& name, absl::string_view limit,
                                   absl::string_view text, int32_t none) {
  int64_t number;
  if (text == kNone) return none;
  if (absl::SimpleAtoi(text, &number) && kLeastLimit <= number && number <= kMostLimit) {
    return static_cast<int32_t>(number);
  }
  return absl::InvalidArgumentError(absl::StrCat("mask ", name, ": expected ", limit,
                                                 ", an integer from ", kLeastLimit, " to ",
                                                 kMostLimit, " or none, found ", Quoted(text)));
}

absl::StatusOr<Mask> ParseBand(const std::string& name, absl::string_view text) {
  const std::vector<absl::string_view> limits = absl::StrSplit(text, ':');
  if (limits.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("mask ", name, ": expected two limits, found ", Quoted(text)));
  }
  Band band;
  ASSIGN_OR_RETURN(band.lower, ParseLimit(name, "LOWER", limits[0], Band::kNoLower));
  ASSIGN_OR_RETURN(band.upper, ParseLimit(name, "UPPER", limits[1], Band::kNoUpper));
  if (band.lower <= band.upper) return Mask(band);
  return absl::InvalidArgumentError(absl::StrCat("mask ", name, ": expected LOWER at most UPPER, ",
                                                 "found ", band.lower, " and ", band.upper));
}

std::string LimitText(int32_t limit, int32_t none) {
  return limit == none ? std::string(kNone) : absl::StrCat(limit);
}

}  // namespace

std::string MaskNames(const MaskSyntax& syntax) { return absl::StrJoin(AllNames(syntax), "|"); }

std::string MaskHelp() {
  std::string help;
  for (const NamedMask& mask : kNamedMasks) {
    if (mask.help.empty()) continue;
    absl::StrAppend(&help, WithNumbers(mask.name, mask.letter, kOptionMask), " is ", mask.help,
                    "; ");
  }
  return absl::StrCat(help, "under ", WithNumbers(kBand, kLimits, kOptionMask), " ", kBandHelp);
}

std::string MaskText(const Mask& mask, const MaskSyntax& syntax) {
  const Band& band = mask.band();
  for (const NamedMask& named : kNamedMasks) {
    const int64_t number = named.number(band);
    if (number < 1 || number > kMaxTokens || named.band(number) != band) continue;
    return WithNumbers(named.name, named.letter.empty() ? "" : absl::StrCat(number), syntax);
  }
  return WithNumbers(kBand,
                     absl::StrCat(LimitText(band.lower, Band::kNoLower), ":",
                                  LimitText(band.upper, Band::kNoUpper)),
                     syntax);
}

absl::StatusOr<Mask> ParseMask(absl::string_view text, const MaskSyntax& syntax) {
  for (const NamedMask& named : kNamedMasks) {
    absl::string_view digits = text;
    if (named.letter.empty()) {
      if (text == named.name) return Mask(named.band(1));
      continue;
    }
    if (!TakeNumbers(named.name, syntax, &digits)) continue;
    int64_t number;
    if (absl::SimpleAtoi(digits, &number) && number >= 1 && number <= kMaxTokens) {
      return Mask(named.band(number));
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "mask ", WithNumbers(named.name, named.letter, syntax), ": expected ", named.letter,
        ", an integer from 1 to ", kMaxTokens, ", found ", Quoted(digits)));
  }
  absl::string_view limits = text;
  if (TakeNumbers(kBand, syntax, &limits)) {
    return ParseBand(WithNumbers(kBand, kLimits, syntax), limits);
  }
  return absl::InvalidArgumentError(UnknownNameMessage("mask", text, AllNames(syntax)));
}

}  // namespace flashcp::model

// Keeps three digits or more of what is not tiny, as tables and messages of different sizes read
// best.

#include "support/mebibytes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace flashcp {

std::string FormatMib(double bytes) {
  const double mib = bytes / (1 << 20);
  if (mib == 0) return "0";
  if (mib < 0.0005) return "<0.001";
  if (mib < 1) return absl::StrFormat("%.3f", mib);
  if (mib < 100) return absl::StrFormat("%.2f", mib);
  return absl::StrFormat(mib < 1000 ? "%.1f" : "%.0f", mib);
}

std::string FormatBytes(uint64_t bytes) { return absl::StrCat(FormatMib(bytes), " MiB"); }

}  // namespace flashcp

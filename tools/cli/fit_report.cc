// A poor fit usually means a host that other programs kept busy, so the warning names that cause.

#include "tools/cli/fit_report.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace flashcp::cli {
namespace {

using session::CalibrationPoint;

constexpr double kMostOff = 0.15;  // of a fit, without a warning

std::string PointLine(const CalibrationPoint& point) {
  return absl::StrFormat(
      "documents of %5d tokens: forward %10.2f us (fit %+5.1f%%), backward %10.2f us (%+5.1f%%)",
      point.length, point.forward_us, 100 * (point.fitted_forward_us / point.forward_us - 1),
      point.backward_us, 100 * (point.fitted_backward_us / point.backward_us - 1));
}

}  // namespace

std::string FitWarning(const std::vector<CalibrationPoint>& points) {
  std::vector<std::string> off;
  for (const CalibrationPoint& point : points) {
    auto add = [&](const char* pass, double measured_us, double fitted_us) {
      const double error = fitted_us / measured_us - 1;
      if (std::abs(error) <= kMostOff) return;
      off.push_back(
          absl::StrFormat("%+.1f%% for %s of %d tokens", 100 * error, pass, point.length));
    };
    add("forward", point.forward_us, point.fitted_forward_us);
    add("backward", point.backward_us, point.fitted_backward_us);
  }
  if (off.empty()) return "";
  return absl::StrCat("warning: the fit is off by ", absl::StrJoin(off, ", "),
                      ": other programs kept this host busy; run again while it is idle, or with "
                      "more --tokens");
}

std::vector<std::string> CalibrationLines(const session::Calibration& calibration) {
  std::vector<std::string> lines;
  for (const CalibrationPoint& point : calibration.points) lines.push_back(PointLine(point));
  const model::LinkClass& link = calibration.cluster.intra_node;
  lines.push_back(absl::StrFormat("messages between threads: %.0f bytes/us, %.1f us",
                                  link.bytes_per_us, link.latency_us));
  const std::string warning = FitWarning(calibration.points);
  if (!warning.empty()) lines.push_back(warning);
  return lines;
}

}  // namespace flashcp::cli

// Each measure walks the two tensors once, side by side.

#include "runtime/check/error_measures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace flashcp {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double ErrorOf(double expected, double found) {
  if (expected == found) return 0;
  const double difference = std::abs(found - expected);
  return std::isfinite(difference) ? difference : kInfinity;
}

}  // namespace

WorstElement FindWorst(absl::Span<const double> expected, absl::Span<const float> allowed,
                       absl::Span<const float> found) {
  WorstElement worst;
  if (expected.size() != found.size() || expected.size() != allowed.size()) {
    worst.ratio = worst.error = kInfinity;
    return worst;
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = ErrorOf(expected[i], found[i]);
    if (error == 0 || error <= worst.ratio * allowed[i]) continue;
    const double ratio = error / allowed[i];
    worst = {std::isnan(ratio) ? kInfinity : ratio, error, allowed[i], static_cast<int64_t>(i)};
    if (worst.ratio == kInfinity) break;
  }
  return worst;
}

double MaxError(absl::Span<const double> expected, absl::Span<const float> found) {
  if (expected.size() != found.size()) return kInfinity;
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, ErrorOf(expected[i], found[i]));
  }
  return largest;
}

double RelativeError(absl::Span<const double> expected, absl::Span<const float> found) {
  double largest = 0;
  for (double x : expected) {
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  }
  const double error = MaxError(expected, found);
  return largest > 0 ? error / largest : error;
}

}  // namespace flashcp

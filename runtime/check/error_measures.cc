#include "runtime/check/error_measures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace flashcp {
namespace {

// The largest |found - expected| / unit(|expected|).
template <typename Unit>
double LargestError(absl::Span<const double> expected, absl::Span<const float> found,
                    const Unit& unit) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (expected.size() != found.size()) return kInfinity;
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == found[i]) continue;
    const double difference = std::abs(found[i] - expected[i]);
    if (!std::isfinite(difference)) return kInfinity;
    largest = std::max(largest, difference / unit(std::abs(expected[i])));
  }
  return largest;
}

}  // namespace

double MaxError(absl::Span<const double> expected, absl::Span<const float> found) {
  return LargestError(expected, found, [](double) { return 1.0; });
}

double MaxScaledError(absl::Span<const double> expected, absl::Span<const float> found) {
  return LargestError(expected, found, [](double size) { return std::max(1.0, size); });
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

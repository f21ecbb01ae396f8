// Finds the zero of a monotone function in few evaluations.

#ifndef FLASHCP_COMPILER_SOLVER_FIND_ROOT_H_
#define FLASHCP_COMPILER_SOLVER_FIND_ROOT_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace flashcp::solver {

// Returns about the zero of a monotone function on [low, high], or the end nearer to it: regula
// falsi with the Illinois rule (Dowell, Jarratt 1971), which needs few evaluations of the smooth
// functions here. The result is off by the change of the function over a token or two.
template <typename Function>
int64_t FindRoot(int64_t low, int64_t high, Function f) {
  double at_low = f(low);
  double at_high = f(high);
  if ((at_low > 0) == (at_high > 0)) {
    return std::abs(at_low) <= std::abs(at_high) ? low : high;
  }
  const double close_enough = std::abs(at_high - at_low) / (high - low) * 2;
  bool moved_low = false;
  bool moved_high = false;
  while (high - low > 1) {
    double share = at_low / (at_low - at_high);
    int64_t x = low + static_cast<int64_t>(static_cast<double>(high - low) * share);
    x = std::clamp(x, low + 1, high - 1);
    double at_x = f(x);
    if (std::abs(at_x) <= close_enough) return x;
    if ((at_x > 0) == (at_low > 0)) {
      low = x;
      at_low = at_x;
      if (moved_low) at_high /= 2;
      moved_low = true;
      moved_high = false;
    } else {
      high = x;
      at_high = at_x;
      if (moved_high) at_low /= 2;
      moved_high = true;
      moved_low = false;
    }
  }
  return low;
}

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_FIND_ROOT_H_

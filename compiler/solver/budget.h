// A budget of search steps. No clock counts, so an input gives one placement on every machine.

#ifndef FLASHCP_COMPILER_SOLVER_BUDGET_H_
#define FLASHCP_COMPILER_SOLVER_BUDGET_H_

#include <algorithm>
#include <cstdint>

namespace flashcp::solver {

class Budget {
 public:
  // Steps of the search that one core of a 2023 server does in a millisecond. Measured once: a step
  // takes 15 to 35 ns: one piece, segment or rank looked at.
  static constexpr double kStepsPerMs = 40'000;

  explicit Budget(double ms) : left_(static_cast<int64_t>(ms * kStepsPerMs)) {}

  void Spend(int64_t steps) { left_ -= steps; }
  bool Empty() const { return left_ <= 0; }

  // One part of `parts` equal ones of what is left, taken out; Return() puts back what remains.
  Budget Share(int parts) {
    Budget share(0);
    share.left_ = left_ / parts;
    left_ -= share.left_;
    return share;
  }
  // So many steps, taken out, or what is left if that is less.
  Budget Take(int64_t steps) {
    Budget taken(0);
    taken.left_ = std::min(steps, left_);
    left_ -= taken.left_;
    return taken;
  }
  void Return(const Budget& share) { left_ += share.left_; }

 private:
  int64_t left_;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_BUDGET_H_

// Random numbers that do not depend on the machine, unlike the distributions of <random>.

#ifndef FLASHCP_COMPILER_SOLVER_RANDOM_H_
#define FLASHCP_COMPILER_SOLVER_RANDOM_H_

#include <cstdint>

namespace flashcp::solver {

// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // Returns a number of [0, count); count > 0.
  int Below(int count) { return static_cast<int>(Next() % static_cast<uint64_t>(count)); }

  // Returns a number of [-1, 1).
  double Signed() { return static_cast<double>(Next() >> 11) * 0x1p-52 - 1; }

 private:
  uint64_t state_;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_RANDOM_H_

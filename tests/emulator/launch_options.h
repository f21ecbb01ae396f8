// How a grid is launched: its shape, and the order of events among those that the ISA allows.

#ifndef FLASHCP_TESTS_EMULATOR_LAUNCH_OPTIONS_H_
#define FLASHCP_TESTS_EMULATOR_LAUNCH_OPTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace flashcp::emulator {

// The order of events that a launch takes. A kernel is right if it is right under all; the extremes
// find most mistakes.
struct Schedule {
  enum class Order { kForward, kReverse, kSeeded };
  // An asynchronous copy lands when it is issued, or when nothing else can go on (cp.async: when
  // its wait asks for it; bulk copies: newest first), or at any time in between.
  enum class Copies { kEarly, kLate, kAny };
  // A wgmma reads shared memory when it is issued, or when a wait covers it.
  enum class Products { kAtIssue, kAtWait };

  Order warps = Order::kForward;
  Order ctas = Order::kForward;
  Copies copies = Copies::kLate;
  Products products = Products::kAtWait;
  // CTAs that run interleaved. Kernels whose CTAs wait for each other need all of them.
  int resident_ctas = 1;
  uint64_t seed = 0;
};

struct LaunchOptions {
  std::array<int, 3> grid = {1, 1, 1};
  std::array<int, 3> block = {1, 1, 1};
  size_t dynamic_shared_bytes = 0;
  Schedule schedule;
  bool races = false;  // Looks for data races; several times slower.
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_LAUNCH_OPTIONS_H_

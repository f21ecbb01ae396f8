// What the instructions of a whole warp work on: one 32-bit register of all its lanes.

#ifndef FLASHCP_TESTS_EMULATOR_WARP_H_
#define FLASHCP_TESTS_EMULATOR_WARP_H_

#include <array>
#include <cstdint>

namespace flashcp::emulator {

inline constexpr int kLanes = 32;

using WarpRegister = std::array<uint32_t, kLanes>;

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WARP_H_

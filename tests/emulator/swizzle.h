// The swizzles of shared memory that TMA writes and wgmma reads: 16-byte chunks of a row of 32, 64
// or 128 bytes change places by the number of the row.

#ifndef FLASHCP_TESTS_EMULATOR_SWIZZLE_H_
#define FLASHCP_TESTS_EMULATOR_SWIZZLE_H_

#include <cstdint>

namespace flashcp::emulator {

// Values are those of CUtensorMapSwizzle.
enum class Swizzle { kNone = 0, k32Bytes = 1, k64Bytes = 2, k128Bytes = 3 };

// Returns the bytes of a row that the swizzle permutes; 16, one chunk, without a swizzle.
constexpr uint32_t RowBytes(Swizzle swizzle) { return uint32_t{16} << static_cast<int>(swizzle); }

// Returns the address at which the byte of this unswizzled shared address lies: bits [4, 4 + n) are
// combined by exclusive or with bits [7, 7 + n), n = 0 to 3.
constexpr uint32_t Swizzled(Swizzle swizzle, uint32_t address) {
  const uint32_t chunks = RowBytes(swizzle) / 16 - 1;
  return address ^ ((address >> 7 & chunks) << 4);
}

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_SWIZZLE_H_

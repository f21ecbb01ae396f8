// The 64-bit descriptor by which wgmma finds an operand in shared memory. PTX ISA, "Asynchronous
// Warpgroup Level Matrix Shared Memory Layout".

#ifndef FLASHCP_TESTS_EMULATOR_MATRIX_DESCRIPTOR_H_
#define FLASHCP_TESTS_EMULATOR_MATRIX_DESCRIPTOR_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "tests/emulator/swizzle.h"

namespace flashcp::emulator {

// The dimension along which neighbours lie next to each other: K, or M for A and N for B, which the
// instruction calls transposed.
enum class Major { kK, kMn };

struct MatrixDescriptor {
  // Bytes from the start of the 256 KiB window of shared memory; a descriptor has no higher bits.
  uint32_t address = 0;
  uint32_t leading_bytes = 0;
  uint32_t stride_bytes = 0;
  Swizzle swizzle = Swizzle::kNone;

  // Fails for bits that must be zero, and for a base offset other than 0, which layouts aligned to
  // their pattern do not have.
  static absl::StatusOr<MatrixDescriptor> Decode(uint64_t bits);

  // Returns the offset in the window of 16-bit element (mn, k): row mn of A, or column mn of B.
  // Eight elements in the major direction, from a multiple of eight, are contiguous.
  uint32_t OffsetOf(Major major, uint32_t mn, uint32_t k) const;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_MATRIX_DESCRIPTOR_H_

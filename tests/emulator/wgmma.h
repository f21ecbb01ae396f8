// wgmma.mma_async.sync.aligned.m64nNk16.f32.TYPE.TYPE: what one warp of the warpgroup computes, and
// which shared memory it reads. The order of issue, fence and wait is wgmma_queue.h.

#ifndef FLASHCP_TESTS_EMULATOR_WGMMA_H_
#define FLASHCP_TESTS_EMULATOR_WGMMA_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tests/emulator/element_type.h"
#include "tests/emulator/matrix_descriptor.h"
#include "tests/emulator/warp.h"

namespace flashcp::emulator {

struct WgmmaShape {
  ElementType type = ElementType::kBf16;
  int n = 8;  // A multiple of 8, at most kWgmmaMaxN.
  bool a_in_registers = false;
  Major a_major = Major::kK;  // Of A in shared memory; registers have one layout.
  Major b_major = Major::kK;
  bool negate_a = false;
  bool negate_b = false;

  int accumulators() const { return n / 2; }
};
inline constexpr int kWgmmaRows = 16;  // Rows of a warp.
inline constexpr int kWgmmaK = 16;
inline constexpr int kWgmmaMaxN = 256;
inline constexpr int kWgmmaARegisters = 4;

// The operands of one warp; `warp` is its number in the warpgroup, 0 to 3.
struct WgmmaOperands {
  int warp = 0;
  std::array<WarpRegister, kWgmmaARegisters> a_registers;  // If a_in_registers,
  MatrixDescriptor a;                                      // otherwise this.
  MatrixDescriptor b;
};

// Computes the 16 rows of a warp: d = a b + (accumulate ? d : 0). `window` is shared memory from
// the address that descriptors count from; offsets beyond it are an error. `d` holds n / 2
// registers. The order of the sums is that of MultiplyWarp() in mma.h.
absl::Status MultiplyWarp(const WgmmaShape& shape, const WgmmaOperands& operands,
                          absl::Span<const std::byte> window, bool accumulate,
                          absl::Span<WarpRegister> d);

// Calls `read(offset, bytes)` for each piece of shared memory that the warp reads: its own 16 rows
// of A, all of B.
void VisitReads(const WgmmaShape& shape, const WgmmaOperands& operands,
                absl::FunctionRef<void(uint32_t offset, uint32_t bytes)> read);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WGMMA_H_

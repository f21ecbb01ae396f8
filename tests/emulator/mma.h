// mma.sync, ldmatrix and stmatrix: which lane and register holds which element of a matrix, and
// what a warp computes with them. PTX ISA, "Warp Level Matrix Multiply-Accumulate Instructions".

#ifndef FLASHCP_TESTS_EMULATOR_MMA_H_
#define FLASHCP_TESTS_EMULATOR_MMA_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "tests/emulator/element_type.h"
#include "tests/emulator/warp.h"

namespace flashcp::emulator {

// mma.sync.aligned.m16n8kK.row.col.f32.TYPE.TYPE.f32 with K = 8 or 16: d = a b + c.
struct MmaShape {
  ElementType type;
  int k;

  int a_registers() const { return k / 4; }
  int b_registers() const { return k / 8; }
};
inline constexpr int kMmaAccumulators = 4;

// Multiplies for a warp. The spans hold a_registers(), b_registers() and twice kMmaAccumulators
// registers; d may be c. Products are summed in f32, k ascending, before c is added: hardware sums
// in an order and with a truncation of its own, so results compare with a tolerance only.
void MultiplyWarp(const MmaShape& shape, absl::Span<const WarpRegister> a,
                  absl::Span<const WarpRegister> b, absl::Span<const WarpRegister> c,
                  absl::Span<WarpRegister> d);

// ldmatrix.sync.aligned.m8n8.xN{.trans}.shared.b16, with N = registers.size(): loads N matrices of
// 8 x 8 elements of 16 bits. Row r of matrix m, 16 bytes, lies at rows[8 * m + r]: the address that
// lane 8 * m + r gave.
void LoadMatrices(absl::Span<const std::byte* const> rows, bool transposed,
                  absl::Span<WarpRegister> registers);

// stmatrix.sync.aligned.m8n8.xN{.trans}.shared.b16, which is LoadMatrices() in reverse.
void StoreMatrices(absl::Span<const WarpRegister> registers, bool transposed,
                   absl::Span<std::byte* const> rows);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_MMA_H_

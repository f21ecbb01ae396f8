#include "tests/emulator/wgmma.h"

#include <cassert>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::emulator {
namespace {

// Sums are formed by blocks of eight columns, as registers hold them.
constexpr int kColumns = 8;
constexpr int kChunkBytes = 16;
constexpr int kChunkElements = 8;

using Row = float __attribute__((vector_size(sizeof(float) * kColumns)));
using BlockOfA = float[kWgmmaRows][kWgmmaK];

// Calls `chunk(mn, k, offset)` for each 16 bytes of an operand's rows [begin, end): elements
// (mn, k) and the next seven in the major direction.
template <typename Chunk>
void VisitChunks(const MatrixDescriptor& operand, Major major, int begin, int end, Chunk chunk) {
  const int mn_step = major == Major::kK ? 1 : kChunkElements;
  const int k_step = major == Major::kK ? kChunkElements : 1;
  for (int mn = begin; mn < end; mn += mn_step) {
    for (int k = 0; k < kWgmmaK; k += k_step) chunk(mn, k, operand.OffsetOf(major, mn, k));
  }
}

absl::Status CheckBounds(const char* name, const MatrixDescriptor& operand, Major major, int begin,
                         int end, size_t window_bytes) {
  uint32_t last = 0;
  VisitChunks(operand, major, begin, end,
              [&](int, int, uint32_t offset) { last = std::max(last, offset + kChunkBytes); });
  if (last <= window_bytes) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat("wgmma reads matrix ", name, " up to byte ", last,
                                            " of shared memory, which has ", window_bytes,
                                            ": a wrong descriptor?"));
}

// Reads rows [begin, end) of an operand: element (mn, k) goes to elements[k * pitch_k + (mn -
// begin) * pitch_mn].
void Read(ElementType type, const MatrixDescriptor& operand, Major major, int begin, int end,
          const std::byte* window, int pitch_mn, int pitch_k, float* elements) {
  const int pitch = major == Major::kK ? pitch_k : pitch_mn;
  VisitChunks(operand, major, begin, end, [&](int mn, int k, uint32_t offset) {
    uint16_t chunk[kChunkElements];
    std::memcpy(chunk, window + offset, sizeof(chunk));
    float* first = elements + k * pitch_k + (mn - begin) * pitch_mn;
    for (int i = 0; i < kChunkElements; ++i) first[i * pitch] = ToFloat(type, chunk[i]);
  });
}

// Figure "WGMMA .m64nNk16 register fragment layout for matrix A": that of mma.m16n8k16, 16 rows a
// warp.
void UnpackA(ElementType type, const std::array<WarpRegister, kWgmmaARegisters>& registers,
             BlockOfA& a) {
  for (int r = 0; r < kWgmmaARegisters; ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      float* pair = &a[lane / 4 + 8 * (r % 2)][lane % 4 * 2 + 8 * (r / 2)];
      pair[0] = ToFloat(type, registers[r][lane]);
      pair[1] = ToFloat(type, registers[r][lane] >> 16);
    }
  }
}

// Multiplies a and eight columns of b, which has `n`; sums run over k in ascending order. Compiled
// for wider registers too, with the same results: without fused multiply-add.
__attribute__((target_clones("avx2", "default"))) void MultiplyBlock(
    const BlockOfA& a, const float* b, int n, float (&d)[kWgmmaRows][kColumns]) {
  Row columns[kWgmmaK];
  for (int k = 0; k < kWgmmaK; ++k) std::memcpy(&columns[k], b + k * n, sizeof(Row));
  for (int row = 0; row < kWgmmaRows; ++row) {
    Row sum = {};
    for (int k = 0; k < kWgmmaK; ++k) sum += columns[k] * a[row][k];
    std::memcpy(d[row], &sum, sizeof(sum));
  }
}

// Adds a block of products to the four registers that hold its columns. Figure "WGMMA .m64nNk16
// register fragment layout for accumulator matrix D".
void AddBlock(const float (&block)[kWgmmaRows][kColumns], bool accumulate,
              WarpRegister* registers) {
  for (int r = 0; r < 4; ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      float sum = block[lane / 4 + 8 * (r / 2)][lane % 4 * 2 + r % 2];
      if (accumulate) {
        float before;
        std::memcpy(&before, &registers[r][lane], sizeof(before));
        sum += before;
      }
      std::memcpy(&registers[r][lane], &sum, sizeof(sum));
    }
  }
}

int FirstRowOf(const WgmmaOperands& operands) { return kWgmmaRows * operands.warp; }

}  // namespace

absl::Status MultiplyWarp(const WgmmaShape& shape, const WgmmaOperands& operands,
                          absl::Span<const std::byte> window, bool accumulate,
                          absl::Span<WarpRegister> d) {
  assert(d.size() == static_cast<size_t>(shape.accumulators()));
  const int row = FirstRowOf(operands);
  BlockOfA a;
  if (shape.a_in_registers) {
    UnpackA(shape.type, operands.a_registers, a);
  } else {
    RETURN_IF_ERROR(
        CheckBounds("A", operands.a, shape.a_major, row, row + kWgmmaRows, window.size()));
    Read(shape.type, operands.a, shape.a_major, row, row + kWgmmaRows, window.data(), kWgmmaK, 1,
         a[0]);
  }
  RETURN_IF_ERROR(CheckBounds("B", operands.b, shape.b_major, 0, shape.n, window.size()));
  float b[kWgmmaK * kWgmmaMaxN];
  Read(shape.type, operands.b, shape.b_major, 0, shape.n, window.data(), 1, shape.n, b);
  if (shape.negate_a != shape.negate_b) {
    for (auto& a_row : a) {
      for (float& element : a_row) element = -element;
    }
  }
  for (int column = 0; column < shape.n; column += kColumns) {
    float block[kWgmmaRows][kColumns];
    MultiplyBlock(a, b + column, shape.n, block);
    AddBlock(block, accumulate, &d[column / 2]);
  }
  return absl::OkStatus();
}

void VisitReads(const WgmmaShape& shape, const WgmmaOperands& operands,
                absl::FunctionRef<void(uint32_t offset, uint32_t bytes)> read) {
  const auto chunk = [&](int, int, uint32_t offset) { read(offset, kChunkBytes); };
  const int row = FirstRowOf(operands);
  if (!shape.a_in_registers) VisitChunks(operands.a, shape.a_major, row, row + kWgmmaRows, chunk);
  VisitChunks(operands.b, shape.b_major, 0, shape.n, chunk);
}

}  // namespace flashcp::emulator

#include "tests/emulator/mma.h"

#include <array>
#include <cassert>
#include <cstring>

namespace flashcp::emulator {
namespace {

// Fragments of 8 x 8 elements are the unit of all layouts here: a register of lane l holds elements
// (l / 4, 2 * (l % 4)) in its low half and the next column in its high half.
constexpr int kSide = 8;
constexpr int RowOf(int lane) { return lane / 4; }
constexpr int ColumnOf(int lane) { return lane % 4 * 2; }

constexpr int kRows = 16;
constexpr int kMaxK = 16;
using RowsOfA = std::array<std::array<float, kMaxK>, kRows>;
using RowsOfB = std::array<std::array<float, kSide>, kMaxK>;
using RowsOfD = std::array<std::array<float, kSide>, kRows>;

// Register r of A holds rows from 8 * (r % 2), columns from 8 * (r / 2).
RowsOfA UnpackA(ElementType type, absl::Span<const WarpRegister> registers) {
  RowsOfA a;
  for (size_t r = 0; r < registers.size(); ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      float* pair = &a[RowOf(lane) + kSide * (r % 2)][ColumnOf(lane) + kSide * (r / 2)];
      pair[0] = ToFloat(type, registers[r][lane]);
      pair[1] = ToFloat(type, registers[r][lane] >> 16);
    }
  }
  return a;
}

// Register r of B holds its rows from 8 * r. B is column-major: a lane's elements are two rows of a
// column.
RowsOfB UnpackB(ElementType type, absl::Span<const WarpRegister> registers) {
  RowsOfB b;
  for (size_t r = 0; r < registers.size(); ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int row = ColumnOf(lane) + kSide * r;
      b[row][RowOf(lane)] = ToFloat(type, registers[r][lane]);
      b[row + 1][RowOf(lane)] = ToFloat(type, registers[r][lane] >> 16);
    }
  }
  return b;
}

RowsOfD Multiply(const RowsOfA& a, const RowsOfB& b, int k) {
  RowsOfD d = {};
  for (int row = 0; row < kRows; ++row) {
    for (int i = 0; i < k; ++i) {
      for (int column = 0; column < kSide; ++column) d[row][column] += a[row][i] * b[i][column];
    }
  }
  return d;
}

// The elements of a lane in an 8 x 8 matrix: one row, or one column of the transposed matrix.
struct Element {
  int row;
  int column;
};
Element ElementOf(int lane, int half, bool transposed) {
  const Element element = {RowOf(lane), ColumnOf(lane) + half};
  return transposed ? Element{element.column, element.row} : element;
}

}  // namespace

void MultiplyWarp(const MmaShape& shape, absl::Span<const WarpRegister> a,
                  absl::Span<const WarpRegister> b, absl::Span<const WarpRegister> c,
                  absl::Span<WarpRegister> d) {
  assert(a.size() == shape.a_registers() && b.size() == shape.b_registers());
  const RowsOfD product = Multiply(UnpackA(shape.type, a), UnpackB(shape.type, b), shape.k);
  for (int r = 0; r < kMmaAccumulators; ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      float sum;
      std::memcpy(&sum, &c[r][lane], sizeof(sum));
      sum += product[RowOf(lane) + kSide * (r / 2)][ColumnOf(lane) + r % 2];
      std::memcpy(&d[r][lane], &sum, sizeof(sum));
    }
  }
}

void LoadMatrices(absl::Span<const std::byte* const> rows, bool transposed,
                  absl::Span<WarpRegister> registers) {
  assert(rows.size() == kSide * registers.size());
  for (size_t matrix = 0; matrix < registers.size(); ++matrix) {
    for (int lane = 0; lane < kLanes; ++lane) {
      uint16_t halves[2];
      for (int half = 0; half < 2; ++half) {
        const Element e = ElementOf(lane, half, transposed);
        std::memcpy(&halves[half], rows[kSide * matrix + e.row] + 2 * e.column, 2);
      }
      registers[matrix][lane] = halves[0] | uint32_t{halves[1]} << 16;
    }
  }
}

void StoreMatrices(absl::Span<const WarpRegister> registers, bool transposed,
                   absl::Span<std::byte* const> rows) {
  assert(rows.size() == kSide * registers.size());
  for (size_t matrix = 0; matrix < registers.size(); ++matrix) {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int half = 0; half < 2; ++half) {
        const Element e = ElementOf(lane, half, transposed);
        const uint16_t value = registers[matrix][lane] >> (16 * half);
        std::memcpy(rows[kSide * matrix + e.row] + 2 * e.column, &value, 2);
      }
    }
  }
}

}  // namespace flashcp::emulator

// What the two reference kernels, forward and backward, are made of: rows of floats, and the
// product of two matrices.

#ifndef FLASHCP_RUNTIME_CPU_REFERENCE_LOOPS_H_
#define FLASHCP_RUNTIME_CPU_REFERENCE_LOOPS_H_

#include <algorithm>
#include <cstdint>

#include "runtime/cpu/visible_keys.h"
#include "runtime/cpu/widest_vectors.h"
#include "runtime/kernels.h"
#include "runtime/numeric.h"

namespace flashcp::reference {

inline constexpr int kQueryBlock = 64;
inline constexpr int kKeyBlock = 64;
inline constexpr int kRows = 4;    // rows that are multiplied side by side, in registers
inline constexpr int kLanes = 32;  // columns of a product are padded to a multiple of this

inline int Padded(int columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

// Reads a row of elements as floats, and zeros up to Padded(dim).
template <typename Element>
void LoadRow(const Element* row, int dim, float* floats) {
  for (int d = 0; d < dim; ++d) floats[d] = ToFloat(row[d]);
  std::fill(floats + dim, floats + Padded(dim), 0.0f);
}

// Row-major matrices by their first element and the distance of their rows.
struct Matrix {
  const float* data;
  int64_t stride;
};

// sums += a b, where a is [count, depth], b is [depth, columns], sums has distance `stride` between
// rows: the product is summed by itself, in ascending order of depth, however many rows are
// multiplied at once.
struct MultiplyLoop {
  template <int kBytes>
  FLASHCP_INLINE_LOOP static void Run(int count, int depth, int columns, Matrix a, Matrix b,
                                      float* sums, int64_t stride) {
    for (; count >= kRows; count -= kRows, a.data += kRows * a.stride, sums += kRows * stride) {
      RunRows<kBytes, kRows>(depth, columns, a, b, sums, stride);
    }
    for (; count > 0; --count, a.data += a.stride, sums += stride) {
      RunRows<kBytes, 1>(depth, columns, a, b, sums, stride);
    }
  }

  template <int kBytes, int kCount>
  FLASHCP_INLINE_LOOP static void RunRows(int depth, int columns, Matrix a, Matrix b, float* sums,
                                          int64_t stride) {
    using Vector = VectorOf<float, kBytes>;
    for (int column = 0; column < columns; column += 2 * Vector::kWidth) {
      typename Vector::Type total[kCount][2];
      for (int i = 0; i < kCount; ++i) {
        for (int half = 0; half < 2; ++half) total[i][half] = typename Vector::Type{};
      }
      for (int k = 0; k < depth; ++k) {
        for (int half = 0; half < 2; ++half) {
          typename Vector::Type row;
          Vector::Load(b.data + k * b.stride + column + half * Vector::kWidth, &row);
          for (int i = 0; i < kCount; ++i) total[i][half] += a.data[i * a.stride + k] * row;
        }
      }
      for (int i = 0; i < kCount; ++i) {
        for (int half = 0; half < 2; ++half) {
          float* sum = sums + i * stride + column + half * Vector::kWidth;
          typename Vector::Type before;
          Vector::Load(sum, &before);
          Vector::Store(before + total[i][half], sum);
        }
      }
    }
  }
};

}  // namespace flashcp::reference

#endif  // FLASHCP_RUNTIME_CPU_REFERENCE_LOOPS_H_

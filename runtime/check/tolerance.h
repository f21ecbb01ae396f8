// The one rule that says how far rounding may take an element of O, LSE, dQ, dK or dV from its
// exact value. Tests and `flashcp run --check` use it for every device, kernel, strategy and dtype.
//
// An element is a sum of terms, and each term carries errors relative to its own size. The errors
// are many and independent, so that they add like the sides of a right angle (Higham and Mary, A
// new approach to probabilistic rounding error analysis, 2019): the unit of an element is
//
//   |exact value| + sqrt(sum of its squared terms),
//
// and the allowed error is unit * (element part + float32 part):
//
// - element part: P and dS are rounded to the dtype of the plan before they are multiplied, as
// matrix
//   units want them, gradients once more when ranks exchange them, and results when they are
//   stored. Four times the unit roundoff of the dtype; f32 has none.
// - float32 part: sums are taken in float32, over `length` rows, of weights whose scores are off by
//   some units of the size of the scores. The size is the largest |q| |k| * scale (Cauchy-Schwarz).
//   Plans of many stages merge as many partial results, at most one a row, and each merge rounds
//   the LSE that the next one weighs by.
//
// The terms are (docs/testing.md derives them), with r^2 = sum_d (dO O)^2 + sum_j (P dP)^2, the
// error of delta, and G = scale * P * (|dP - delta| + r), the size of a score's gradient:
//
//   O_i  : P_ij V_j                dQ_i : G_ij K_j, and the one term scale * r_i * (P K)_i
//   dV_j : P_ij dO_i               dK_j : G_ij Q_i
//
// LSE is a logarithm: its error is absolute, the float32 part.
//
// All units are linear in V and dO, so that a verdict does not change with their scale.
//
// Underflow adds two absolute errors. Weights below some size become 0 in the dtype that P is
// rounded to, so that squared terms take P + WeightFloor for P; and an element may be off by some
// of the smallest numbers of the dtype.

#ifndef FLASHCP_RUNTIME_CHECK_TOLERANCE_H_
#define FLASHCP_RUNTIME_CHECK_TOLERANCE_H_

#include <cmath>
#include <cstdint>

#include "runtime/kernels.h"

namespace flashcp {

class Tolerance {
 public:
  // `length` is the number of rows that are summed, score_size the largest |q| |k| * scale.
  Tolerance(model::DType element, int64_t length, double score_size)
      : float32_(0x1p-24 * (64 + 3 * std::sqrt(static_cast<double>(length)) + 8 * score_size)),
        element_(4 * UnitRoundoff(element)),
        smallest_(4 * SmallestNumber(element)) {}

  // The smallest weight that P may lose altogether, over the part of the unit that is allowed.
  static double WeightFloor(model::DType element) {
    return element == model::DType::kF16 ? 0x1p-25 * 0x1p9 : 0x1p-126 * 0x1p18;
  }

  // The error that an element of O or a gradient may have.
  float Allowed(double unit) const {
    return static_cast<float>(unit * (element_ + float32_) + smallest_);
  }

  // The error that an LSE may have.
  float AllowedLse() const { return static_cast<float>(float32_); }

 private:
  static double UnitRoundoff(model::DType element) {
    switch (element) {
      case model::DType::kF32:
        return 0;  // in the float32 part
      case model::DType::kBF16:
        return 0x1p-8;
      case model::DType::kF16:
        return 0x1p-11;
    }
    return 0;
  }

  static double SmallestNumber(model::DType element) {
    switch (element) {
      case model::DType::kF32:
        return 0x1p-149;
      case model::DType::kBF16:
        return 0x1p-133;
      case model::DType::kF16:
        return 0x1p-24;
    }
    return 0;
  }

  double float32_;
  double element_;
  double smallest_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CHECK_TOLERANCE_H_

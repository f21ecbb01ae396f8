// Work as a smooth function of position, so that cuts can be solved for and bounds inverted.
//
// Idea: a block of `block_rows` rows that sees k keys takes t(k), piecewise linear in k; spread
// evenly over its rows, the rows up to position x take about G(k(x)), where G is the integral of
// t / block_rows: piecewise quadratic, with a closed form and a closed inverse.

#ifndef FLASHCP_COMPILER_SOLVER_WORK_CURVE_H_
#define FLASHCP_COMPILER_SOLVER_WORK_CURVE_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

class WorkCurve {
 public:
  // Weighs the tile table: forward_weight * forward_us + backward_weight * backward_us, for all
  // query heads. Microseconds.
  WorkCurve(const Problem& problem, double forward_weight, double backward_weight);

  // Work of rows [begin, end) of a document, about.
  double Rows(const Document& document, int64_t begin, int64_t end) const {
    return UpTo(document, end) - UpTo(document, begin);
  }

  // Least x, about, for which rows [x, length) of a causal document of `length` tokens fit in
  // work_us, however they are cut; 0 if all rows do. Never above the exact value.
  double LeastBegin(int64_t length, double work_us) const;

 private:
  // From `keys` on, a row takes us + slope_us * (k - keys); `sum_us` is G(keys).
  struct Piece {
    double keys;
    double us;
    double slope_us;
    double sum_us;
  };

  // The work of rows [0, position), but for what is equal for all positions of the document.
  double UpTo(const Document& document, int64_t position) const {
    const model::Band& band = document.mask.band();
    const int64_t keys = position + band.upper;
    if (band.upper >= 0 && keys <= document.length && position + band.lower <= 1) {
      return Integral(keys + shift_);
    }
    return UpToOther(document, position);
  }
  double UpToOther(const Document& document, int64_t position) const;

  const Piece& PieceAt(double keys) const {
    size_t i = 0;
    while (i + 1 < pieces_.size() && pieces_[i + 1].keys <= keys) ++i;
    return pieces_[i];
  }
  double Integral(double keys) const {
    const Piece& piece = PieceAt(keys);
    double beyond = keys - piece.keys;
    return piece.sum_us + beyond * (piece.us + piece.slope_us * beyond / 2);
  }
  double Row(double keys) const {
    const Piece& piece = PieceAt(keys);
    return piece.us + piece.slope_us * (keys - piece.keys);
  }

  double shift_;         // keys that a row's block sees beyond its own position, about
  double bound_shift_;   // the same, not too large in any case
  double inside_extra_;  // the same if they begin and end inside the document
  double unseeing_us_;   // of a row that sees no key
  std::vector<Piece> pieces_;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_WORK_CURVE_H_

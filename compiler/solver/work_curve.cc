// Integrates the tile table over positions, and inverts the integral.

#include "compiler/solver/work_curve.h"

#include <algorithm>
#include <cmath>

namespace flashcp::solver {

WorkCurve::WorkCurve(const Problem& problem, double forward_weight, double backward_weight) {
  const TileTable& tiles = problem.cluster.tiles;
  const double scale = problem.heads.query * problem.heads.dim / 128.0 / tiles.block_rows;
  auto row_us = [&](size_t i) {
    return scale * (forward_weight * tiles.forward_us[i] + backward_weight * tiles.backward_us[i]);
  };
  for (size_t i = 0; i + 1 < tiles.columns.size(); ++i) {
    double width = tiles.columns[i + 1] - tiles.columns[i];
    double slope_us = (row_us(i + 1) - row_us(i)) / width;
    pieces_.push_back({static_cast<double>(tiles.columns[i]), row_us(i), slope_us, 0});
  }
  // The first piece goes back to no keys at all.
  Piece& first = pieces_.front();
  first.us -= first.slope_us * first.keys;
  first.keys = 0;
  for (size_t i = 1; i < pieces_.size(); ++i) {
    const Piece& before = pieces_[i - 1];
    double width = pieces_[i].keys - before.keys;
    pieces_[i].sum_us = before.sum_us + width * (before.us + before.slope_us * width / 2);
  }
  shift_ = tiles.block_rows / 2.0;
  inside_extra_ = (tiles.block_rows + tiles.block_columns) / 2.0;
  unseeing_us_ = Row(tiles.block_columns);
  // A block of n <= block_rows rows from a on costs t(a + n), no less than its n rows on the
  // shifted line, if the table is one line that starts at or above 0.
  bound_shift_ = pieces_.size() == 1 && first.us >= 0 ? shift_ : 0;
}

double WorkCurve::UpToOther(const Document& document, int64_t position) const {
  const model::Band& band = document.mask.band();
  const int64_t length = document.length;
  const double inside_keys = int64_t{band.upper} - band.lower + 1 + inside_extra_;
  if (band.upper > length && SeesBackToStart(document)) {
    return position * Row(static_cast<double>(length));
  }
  if (band.upper >= 0 && position + band.upper <= length) {
    const int64_t growing = std::clamp<int64_t>(1 - int64_t{band.lower}, 0, position);
    return Integral(growing + band.upper + shift_) + (position - growing) * Row(inside_keys);
  }
  // Positions [0, before) and [seeing, length) see no key. Between them keys grow while they begin
  // at the first one, shrink once they end at the last one, and stay as many in between.
  auto within = [length](int64_t p) { return std::clamp<int64_t>(p, 0, length); };
  const int64_t before = within(-int64_t{band.upper});
  const int64_t from_first = within(1 - int64_t{band.lower});
  const int64_t inside = within(length - band.upper);
  const int64_t seeing = within(length - band.lower);
  const int64_t grown = std::max(before, std::min(from_first, inside));
  const int64_t moved = std::max(from_first, inside);
  auto rows = [position](int64_t begin, int64_t end) {
    return std::max<int64_t>(0, std::min(position, end) - begin);
  };
  double us = band.upper > length ? 0
                                  : Integral(std::clamp(position, before, grown) +
                                             static_cast<double>(band.upper) + shift_);
  us += (rows(0, before) + rows(seeing, length)) * unseeing_us_;
  us += rows(grown, moved) *
        (inside < from_first ? Row(static_cast<double>(length)) : Row(inside_keys));
  const double shrinking = length - static_cast<double>(band.lower) + shift_;
  if (moved < position && moved < seeing) {
    us += Integral(shrinking - moved) - Integral(shrinking - std::min(position, seeing));
  }
  return us;
}

double WorkCurve::LeastBegin(int64_t length, double work_us) const {
  double left_us = Integral(length + bound_shift_) - work_us;
  if (left_us <= Integral(bound_shift_)) return 0;
  size_t i = 0;
  while (i + 1 < pieces_.size() && pieces_[i + 1].sum_us <= left_us) ++i;
  const Piece& piece = pieces_[i];
  // us x + slope x^2 / 2 = beyond, in the form that does not cancel.
  double beyond = left_us - piece.sum_us;
  double root = std::sqrt(piece.us * piece.us + 2 * piece.slope_us * beyond);
  double keys = piece.us + root > 0 ? piece.keys + 2 * beyond / (piece.us + root) : piece.keys;
  return std::max(0.0, keys - bound_shift_);
}

}  // namespace flashcp::solver

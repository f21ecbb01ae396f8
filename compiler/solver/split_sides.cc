// Which side of a split each piece goes to as a whole: the orders in which pieces are taken, and the
// greedy assignment. Where pieces are cut, and which split is best, is decided in split.cc.

#include <algorithm>
#include <numeric>
#include <utility>

#include "compiler/solver/split.h"

namespace flashcp::solver {
namespace {

// Pieces to choose one from that fills up tokens.
constexpr int kMostFillers = 12;

// Many tokens with little work each, where `mean_us` is that of all pieces: it may be the only
// piece that can even the tokens.
double Lightness(const Piece& piece, double mean_us) {
  return piece.tokens / (piece.work_us / piece.tokens + mean_us);
}

}  // namespace

void Splitter::SortHeaviest(double noise, Random& random) {
  std::vector<double> key(size());
  for (int i = 0; i < size(); ++i) {
    key[i] = pieces_[i].work_us * (noise > 0 ? 1 + noise * random.Signed() : 1);
  }
  std::sort(heaviest_.begin(), heaviest_.end(),
            [&](int a, int b) { return key[a] != key[b] ? key[a] > key[b] : a < b; });
  steps_ += size();
}

// The pieces whose last tokens cost least, for tokens that other cuts leave over.
void Splitter::FindFillers() {
  const int block_rows = model_.problem().cluster.tiles.block_rows;
  auto mean_us = [&](int i) { return pieces_[i].work_us / pieces_[i].tokens; };
  for (int i = 0; i < size(); ++i) {
    if (pieces_[i].tokens > block_rows) fillers_.push_back(i);
  }
  const size_t count = std::min<size_t>(fillers_.size(), kMostFillers);
  std::partial_sort(fillers_.begin(), fillers_.begin() + count, fillers_.end(), [&](int a, int b) {
    return mean_us(a) != mean_us(b) ? mean_us(a) < mean_us(b) : a < b;
  });
  fillers_.resize(count);
}

std::vector<int> Splitter::Lightest(int count) const {
  std::vector<int> order(size());
  std::iota(order.begin(), order.end(), 0);
  count = std::min(count, size());
  const double mean_us = work_us_ / std::max<int64_t>(tokens_, 1);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int a, int b) {
    double left = Lightness(pieces_[a], mean_us);
    double right = Lightness(pieces_[b], mean_us);
    return left != right ? left > right : a < b;
  });
  order.resize(count);
  return order;
}

int Splitter::AddSides(std::vector<Side> sides) {
  Assignment assignment{std::move(sides), 0, 0, 0};
  for (int i = 0; i < size(); ++i) {
    if (assignment.side[i] == kLeft) {
      assignment.tokens_left += pieces_[i].tokens;
      assignment.left_us += pieces_[i].work_us;
    } else {
      assignment.right_us += pieces_[i].work_us;
    }
  }
  sides_.push_back(std::move(assignment));
  steps_ += size();
  return static_cast<int>(sides_.size()) - 1;
}

int Splitter::AddMirrored(int sides) {
  std::vector<Side> mirrored = sides_[sides].side;
  for (Side& side : mirrored) side = Opposite(side);
  return AddSides(std::move(mirrored));
}

int Splitter::AddGreedySides(int first, int second, double token_weight, const Cut* fixed) {
  // What each side still lacks, as a share of what it should have.
  const int64_t room[2] = {goal_.tokens_left, tokens_ - goal_.tokens_left};
  int64_t free[2] = {room[kLeft], room[kRight]};
  double us[2] = {left_share_us_, work_us_ - left_share_us_};
  if (fixed != nullptr) {
    const std::array<Piece, 2> parts = Parts(*fixed);
    for (Side side : {kLeft, kRight}) {
      free[side] -= parts[side].tokens;
      us[side] -= parts[side].work_us;
      if (free[side] < 0) return -1;
    }
  }
  const double per_us[2] = {1 / std::max(us[kLeft], 1e-300), 1 / std::max(us[kRight], 1e-300)};
  const double per_token[2] = {1.0 / std::max<int64_t>(room[kLeft], 1),
                               1.0 / std::max<int64_t>(room[kRight], 1)};
  std::vector<Side> sides(size(), kLeft);
  steps_ += size();
  // Heavy pieces come first, so light ones can still even tokens when hardly any work is left.
  double rest_us = work_us_;
  int64_t rest_tokens = tokens_;
  for (int i : heaviest_) {
    if (i == first || i == second) continue;
    const Piece& piece = pieces_[i];
    rest_us -= piece.work_us;
    rest_tokens -= piece.tokens;
    const double rest = (std::max(rest_us, piece.work_us) / work_us_) /
                        (static_cast<double>(std::max(rest_tokens, piece.tokens)) / tokens_);
    const double weight = token_weight * rest * rest;
    bool fits_left = piece.tokens <= free[kLeft];
    bool fits_right = piece.tokens <= free[kRight];
    if (!fits_left && !fits_right) return -1;
    Side side = fits_left ? kLeft : kRight;
    if (fits_left && fits_right) {
      double work = us[kLeft] * per_us[kLeft] - us[kRight] * per_us[kRight];
      double tokens = free[kLeft] * per_token[kLeft] - free[kRight] * per_token[kRight];
      double work_if_left = work - piece.work_us * per_us[kLeft];
      double work_if_right = work + piece.work_us * per_us[kRight];
      double tokens_if_left = tokens - piece.tokens * per_token[kLeft];
      double tokens_if_right = tokens + piece.tokens * per_token[kRight];
      double left = work_if_left * work_if_left + weight * tokens_if_left * tokens_if_left;
      double right = work_if_right * work_if_right + weight * tokens_if_right * tokens_if_right;
      side = left <= right ? kLeft : kRight;
    }
    sides[i] = side;
    free[side] -= piece.tokens;
    us[side] -= piece.work_us;
  }
  return AddSides(std::move(sides));
}

}  // namespace flashcp::solver

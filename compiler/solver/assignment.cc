// Assigns pieces greedily, heaviest first, each to the side that leaves less imbalance.

#include "compiler/solver/assignment.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace flashcp::solver {
namespace {

// Returns a large value for many tokens with little work each (`mean_us` is that of all pieces):
// such a piece may be the only one that can even the tokens.
double Lightness(const Piece& piece, double mean_us) {
  return piece.tokens / (piece.work_us / piece.tokens + mean_us);
}

}  // namespace

Assignments::Assignments(std::vector<Piece> pieces, const SplitGoal& goal)
    : pieces_(std::move(pieces)), goal_(goal), heaviest_(pieces_.size()) {
  for (const Piece& piece : pieces_) {
    tokens_ += piece.tokens;
    work_us_ += piece.work_us;
  }
  left_share_us_ =
      std::clamp(goal.EvenUs(work_us_) * goal.left_ranks - goal.held_left_us, 0.0, work_us_);
  std::iota(heaviest_.begin(), heaviest_.end(), 0);
  std::sort(heaviest_.begin(), heaviest_.end(), [this](int a, int b) {
    return pieces_[a].work_us != pieces_[b].work_us ? pieces_[a].work_us > pieces_[b].work_us
                                                    : a < b;
  });
  steps_ += size();
}

std::vector<int> Assignments::Lightest(int count) const {
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

int Assignments::Add(std::vector<Side> sides) {
  Assignment assignment;
  for (int i = 0; i < size(); ++i) assignment.load.Add(pieces_[i], sides[i]);
  assignment.side = std::move(sides);
  all_.push_back(std::move(assignment));
  steps_ += size();
  return static_cast<int>(all_.size()) - 1;
}

// Tokens and work that the sides still lack, and those of pieces on neither side.
struct Assignments::Lack {
  int64_t tokens[2];
  double us[2];
  int64_t rest_tokens;
  double rest_us;

  bool Fits(const Piece& piece, Side side) const { return piece.tokens <= tokens[side]; }
  void Give(const Piece& piece, Side side) {
    tokens[side] -= piece.tokens;
    us[side] -= piece.work_us;
    rest_tokens -= piece.tokens;
    rest_us -= piece.work_us;
  }
  // The side that lacks less work for a token.
  Side Lighter() const {
    return us[kLeft] * std::max<int64_t>(tokens[kRight], 1) <
                   us[kRight] * std::max<int64_t>(tokens[kLeft], 1)
               ? kLeft
               : kRight;
  }
  // Returns whether the side lacks less work for a token than both together do.
  bool IsLight(Side side) const {
    return us[side] * (tokens[kLeft] + tokens[kRight]) < (us[kLeft] + us[kRight]) * tokens[side];
  }
};

// Gives the lightest pieces to a side that holds heavy documents, and so lacks less work for a
// token, until both sides lack equal work: a greedy assignment, heaviest first, would leave these
// pieces for last. Returns the number of pieces of heaviest(), from its front, that are left.
int Assignments::GiveLightest(int first, int second, Lack& lack, std::vector<Side>& sides) const {
  int left = size();
  if (goal_.held_left_us + goal_.held_right_us <= 0) return left;
  const Side light = lack.Lighter();
  for (; left > 0 && lack.IsLight(light); --left) {
    const int i = heaviest_[left - 1];
    if (i == first || i == second) continue;
    const Piece& piece = pieces_[i];
    if (!lack.Fits(piece, light) || piece.work_us > lack.us[light]) break;
    sides[i] = light;
    lack.Give(piece, light);
  }
  return left;
}

int Assignments::AddGreedy(int first, int second, double token_weight,
                           const std::array<Piece, 2>& parts) {
  Lack lack = {{goal_.tokens_left, tokens_ - goal_.tokens_left},
               {left_share_us_, work_us_ - left_share_us_},
               tokens_,
               work_us_};
  for (Side side : {kLeft, kRight}) {
    lack.tokens[side] -= parts[side].tokens;
    lack.us[side] -= parts[side].work_us;
    if (lack.tokens[side] < 0) return -1;
  }
  std::vector<Side> sides(size(), kLeft);
  steps_ += size();
  const int left = GiveLightest(first, second, lack, sides);
  const Lack all = lack;
  for (int k = 0; k < left; ++k) {
    const int i = heaviest_[k];
    if (i == first || i == second) continue;
    const Piece& piece = pieces_[i];
    if (!lack.Fits(piece, kLeft) && !lack.Fits(piece, kRight)) return -1;
    sides[i] = EvenSide(piece, token_weight, all, lack);
    lack.Give(piece, sides[i]);
  }
  return Add(std::move(sides));
}

// Returns the side with room for the piece that leaves less imbalance: differences of what both
// lack, as shares of what they lacked before all pieces. Heavy pieces come first, so light ones can
// still even tokens when hardly any work is left.
Side Assignments::EvenSide(const Piece& piece, double token_weight, const Lack& all,
                           const Lack& lack) const {
  if (!lack.Fits(piece, kRight)) return kLeft;
  if (!lack.Fits(piece, kLeft)) return kRight;
  const double rest_us = std::max(lack.rest_us - piece.work_us, piece.work_us);
  const int64_t rest_tokens = std::max(lack.rest_tokens - piece.tokens, piece.tokens);
  const double rest = (rest_us / work_us_) / (static_cast<double>(rest_tokens) / tokens_);
  const double weight = token_weight * rest * rest;
  auto uneven = [&](Side side) {
    double us[2];
    double tokens[2];
    for (Side s : {kLeft, kRight}) {
      us[s] = (lack.us[s] - (s == side ? piece.work_us : 0)) / std::max(all.us[s], 1e-300);
      tokens[s] = static_cast<double>(lack.tokens[s] - (s == side ? piece.tokens : 0)) /
                  std::max<int64_t>(all.tokens[s], 1);
    }
    const double work = us[kLeft] - us[kRight];
    const double token = tokens[kLeft] - tokens[kRight];
    return work * work + weight * token * token;
  };
  return uneven(kLeft) <= uneven(kRight) ? kLeft : kRight;
}

}  // namespace flashcp::solver

// Finds cuts by root search, moves them to block boundaries, and scores splits by the time of the
// slower side.

#include "compiler/solver/cutting.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "compiler/solver/find_root.h"

namespace flashcp::solver {
namespace {

// An outer part with fewer tokens than this on one end is not worth a segment.
constexpr int kShortestEnd = 64;

// Share of a rank's compute that hides its sends when splits are compared.
constexpr double kHiddenShare = 0.25;

// Work counts as even while no side has more than this above the mean.
constexpr double kEven = 1.003;

// Pieces to choose one from that fills up tokens.
constexpr int kMostFillers = 12;

bool IsCut(const Split& split, int piece) {
  return std::any_of(split.cuts.begin(), split.cuts.end(),
                     [piece](const Cut& cut) { return cut.piece == piece; });
}

}  // namespace

Cutter::Cutter(const PieceModel& model, Assignments& assignments, const SplitGoal& goal)
    : model_(model),
      assignments_(assignments),
      goal_(goal),
      even_us_(goal.EvenUs(assignments.work_us())) {
  FindFillers();
}

// The pieces whose last tokens cost least, for tokens that other cuts leave over.
void Cutter::FindFillers() {
  const int block_rows = model_.problem().cluster.tiles.block_rows;
  auto mean_us = [&](int i) { return At(i).work_us / At(i).tokens; };
  for (int i = 0; i < assignments_.size(); ++i) {
    if (At(i).tokens > block_rows) fillers_.push_back(i);
  }
  const size_t count = std::min<size_t>(fillers_.size(), kMostFillers);
  std::partial_sort(fillers_.begin(), fillers_.begin() + count, fillers_.end(), [&](int a, int b) {
    return mean_us(a) != mean_us(b) ? mean_us(a) < mean_us(b) : a < b;
  });
  fillers_.resize(count);
}

// Returns whether a side has too much work even without the pieces to cut.
bool Cutter::TooLong(const SideLoad& load) const {
  return goal_.held_left_us + load.left_us > goal_.most_us * goal_.left_ranks ||
         goal_.held_right_us + load.right_us > goal_.most_us * goal_.right_ranks;
}

void Cutter::AddOneCut(int sides, int flipped, int piece) {
  if (flipped == piece) return;
  const std::vector<Side>& side = assignments_.sides(sides);
  SideLoad load = assignments_.load(sides);
  load.Remove(At(piece), side[piece]);
  if (flipped >= 0) {
    load.Remove(At(flipped), side[flipped]);
    load.Add(At(flipped), Opposite(side[flipped]));
  }
  const int64_t tokens = At(piece).tokens;
  int64_t left = goal_.tokens_left - load.tokens_left;
  // Slack may let the piece go to one side whole.
  if (left < 0 && load.tokens_left <= goal_.most_left) left = 0;
  if (left > tokens && load.tokens_left + tokens >= goal_.least_left) left = tokens;
  if (left < 0 || left > tokens) return;
  if (TooLong(load)) return;
  for (Side outer : {kLeft, kRight}) {
    Cut cut;
    cut.piece = piece;
    cut.outer = outer;
    SolveOneCut(load, outer == kLeft ? left : tokens - left, cut);
    if (TooLong(WithParts(load, cut, model_.Prefix(At(piece), tokens)))) continue;
    Cut aligned = cut;
    aligned.first = model_.Align(At(piece), cut.first);
    aligned.last = tokens - model_.Align(At(piece), tokens - cut.last);
    if (goal_.least_left == goal_.most_left) {
      if (cut.first > 0 && cut.last > 0) {
        // One end has to take what alignment leaves over; a segment that does not begin at a block
        // of keys pays for one more in each block of rows, so that is the shorter segment.
        bool short_middle = tokens - cut.first - cut.last < cut.last;
        const int64_t both = cut.first + cut.last;
        cut.first = short_middle ? std::max<int64_t>(0, both - aligned.last)
                                 : std::min(both, aligned.first);
        cut.last = both - cut.first;
      }
      AddSplit(sides, flipped, load, {cut});
      if (aligned.first == cut.first && aligned.last == cut.last) continue;
    }
    AddAligned(sides, flipped, load, {aligned});
    if (left == 0 || left == tokens) return;
  }
}

// Returns whether the tokens before the last `tail` ones need a block of rows less than all: then a
// tail of at most a block costs no more apart.
bool Cutter::EndsShort(const Piece& piece, int64_t tail) const {
  const Piece::Interval& end = piece.intervals[piece.count - 1];
  const int64_t rest = (end.end - end.begin) % model_.problem().cluster.tiles.block_rows;
  return rest > 0 && rest <= tail && tail < end.end - end.begin;
}

// Adds a split with these cuts, and with a cut of another piece's end that makes up for the tokens
// if they must be exact: of the lightest piece, and of the lightest that pays for no more blocks.
void Cutter::AddAligned(int sides, int flipped, const SideLoad& load, Cuts cuts) {
  int64_t left = load.tokens_left;
  Cut* filler = nullptr;
  for (Cut& cut : cuts) {
    if (cut.piece < 0) {
      filler = &cut;
      continue;
    }
    const int64_t tokens = At(cut.piece).tokens;
    const int64_t outer = cut.first + cut.last;
    if (outer > tokens) return;
    left += cut.outer == kLeft ? outer : tokens - outer;
  }
  if (left >= goal_.least_left && left <= goal_.most_left) {
    return AddSplit(sides, flipped, load, cuts);
  }
  const Side giver = left > goal_.tokens_left ? kLeft : kRight;
  const int64_t given = std::abs(left - goal_.tokens_left);
  bool first = true;
  for (int i : fillers_) {
    Side side = assignments_.sides(sides)[i];
    if (i == flipped) side = Opposite(side);
    if (side != giver || At(i).tokens <= given) continue;
    if (i == cuts[0].piece || i == cuts[1].piece) continue;
    const bool ends_short = EndsShort(At(i), given);
    if (!first && !ends_short) continue;
    *filler = Cut();
    filler->piece = i;
    filler->outer = giver;
    filler->first = At(i).tokens - given;
    SideLoad rest = load;
    rest.Remove(At(i), giver);
    AddSplit(sides, flipped, rest, cuts);
    if (ends_short) return;
    first = false;
  }
}

// Returns the load with the work of the parts of a piece, about; `all_us` is that of the whole
// piece without merges.
SideLoad Cutter::WithParts(const SideLoad& load, const Cut& cut, double all_us) const {
  const Piece& piece = At(cut.piece);
  const int64_t last = piece.tokens - cut.last;  // the first of the last tokens
  double outer_us = model_.Prefix(piece, cut.first);
  if (cut.last > 0) outer_us += all_us - model_.Prefix(piece, last);
  const double middle_us = all_us - outer_us + model_.MergesUs(piece, cut.first, last);
  outer_us += model_.MergesUs(piece, 0, cut.first) + model_.MergesUs(piece, last, piece.tokens);
  SideLoad with = load;
  with.left_us += cut.outer == kLeft ? outer_us : middle_us;
  with.right_us += cut.outer == kLeft ? middle_us : outer_us;
  return with;
}

// Returns the work of a rank of the left side less that of a rank of the right one, on the mean.
double Cutter::UnevenUs(const SideLoad& load) const {
  return (goal_.held_left_us + load.left_us) / goal_.left_ranks -
         (goal_.held_right_us + load.right_us) / goal_.right_ranks;
}

// Finds the outer part's first tokens, such that work is about even with what the sides have.
void Cutter::SolveOneCut(const SideLoad& load, int64_t outer_tokens, Cut& cut) const {
  const Piece& piece = At(cut.piece);
  const double all_us = model_.Prefix(piece, piece.tokens);
  cut.first = outer_tokens;
  if (outer_tokens > 0 && outer_tokens < piece.tokens) {
    Cut tried = cut;
    cut.first = FindRoot(0, outer_tokens, [&](int64_t first) {
      tried.first = first;
      tried.last = outer_tokens - first;
      return UnevenUs(WithParts(load, tried, all_us));
    });
    if (cut.first < kShortestEnd) cut.first = 0;
    if (outer_tokens - cut.first < kShortestEnd) cut.first = outer_tokens;
  }
  cut.last = outer_tokens - cut.first;
}

// Finds the tokens of both pieces that go left so that work is even: the heavy piece's by a root
// search, to a block, and the light piece makes up the tokens. Returns false if a side is too long.
bool Cutter::SolveTwoCuts(const SideLoad& load, Cut& heavy, Cut& light) const {
  const Piece& a = At(heavy.piece);
  const Piece& b = At(light.piece);
  const double a_us = model_.Prefix(a, a.tokens);
  const double b_us = model_.Prefix(b, b.tokens);
  const int64_t left = goal_.tokens_left - load.tokens_left;
  auto with_left = [&](int64_t x) {
    heavy.first = heavy.outer == kLeft ? x : a.tokens - x;
    light.first = light.outer == kLeft ? left - x : b.tokens - (left - x);
    return WithParts(WithParts(load, heavy, a_us), light, b_us);
  };
  const int64_t least = std::max<int64_t>(0, left - b.tokens);
  const int64_t most = std::min(a.tokens, left);
  int64_t x = FindRoot(least, most, [&](int64_t x) { return UnevenUs(with_left(x)); });
  const int64_t aligned =
      heavy.outer == kLeft ? model_.Align(a, x) : a.tokens - model_.Align(a, a.tokens - x);
  if (aligned >= least && aligned <= most) x = aligned;
  return !TooLong(with_left(x));
}

void Cutter::AddTwoCuts(int sides, int heavy, int light) {
  if (heavy == light) return;
  SideLoad load = assignments_.load(sides);
  load.Remove(At(heavy), assignments_.sides(sides)[heavy]);
  load.Remove(At(light), assignments_.sides(sides)[light]);
  const int64_t left = goal_.tokens_left - load.tokens_left;
  if (left < 0 || left > At(heavy).tokens + At(light).tokens) return;
  if (TooLong(load)) return;
  for (Side heavy_outer : {kRight, kLeft}) {
    for (Side light_outer : {kRight, kLeft}) {
      Cuts cuts;
      cuts[0].piece = heavy;
      cuts[0].outer = heavy_outer;
      cuts[1].piece = light;
      cuts[1].outer = light_outer;
      if (!SolveTwoCuts(load, cuts[0], cuts[1])) continue;
      AddSplit(sides, -1, load, cuts);
      cuts[1].first = model_.Align(At(light), cuts[1].first);
      if (goal_.least_left == goal_.most_left) AddAligned(sides, -1, load, cuts);
    }
  }
}

// Returns cuts about in the middle of its work: head against tail, and outer part against middle
// with equal shares of tokens.
std::vector<Cut> Cutter::HeavyCuts(int heavy) const {
  const Piece& piece = At(heavy);
  const double left_share = assignments_.left_share_us() / assignments_.work_us();
  const double all_us = model_.Prefix(piece, piece.tokens);
  SideLoad others;  // as even as they can be
  others.left_us = assignments_.left_share_us() - left_share * piece.work_us;
  others.right_us =
      assignments_.work_us() - assignments_.left_share_us() - (1 - left_share) * piece.work_us;
  std::vector<Cut> cuts;
  for (Side outer : {kLeft, kRight}) {
    const double share = outer == kLeft ? left_share : 1 - left_share;
    Cut head;
    head.piece = heavy;
    head.outer = outer;
    head.first = model_.Align(piece, FindRoot(0, piece.tokens, [&](int64_t first) {
                                return model_.Prefix(piece, first) - share * all_us;
                              }));
    cuts.push_back(head);
    Cut ends = head;
    SolveOneCut(others, static_cast<int64_t>(piece.tokens * share), ends);
    ends.first = model_.Align(piece, ends.first);
    ends.last = piece.tokens - model_.Align(piece, piece.tokens - ends.last);
    if (ends.last > 0 && ends.first + ends.last <= piece.tokens) cuts.push_back(ends);
  }
  return cuts;
}

void Cutter::AddHeavyCuts(int heavy, int light, double token_weight) {
  if (heavy == light) return;
  for (const Cut& cut : HeavyCuts(heavy)) {
    Piece outer, middle;
    if (!model_.Cut(At(heavy), cut.first, cut.last, outer, middle)) continue;
    const int sides = assignments_.AddGreedy(heavy, light, token_weight, Parts(cut));
    if (sides >= 0) AddFilled(sides, cut, light);
  }
}

// Adds the split in which the light piece makes up for the tokens that the others leave open.
void Cutter::AddFilled(int sides, const Cut& heavy, int light) {
  SideLoad load = assignments_.load(sides);
  load.Remove(At(heavy.piece), assignments_.sides(sides)[heavy.piece]);
  load.Remove(At(light), assignments_.sides(sides)[light]);
  if (TooLong(load)) return;
  const int64_t tokens = At(light).tokens;
  const int64_t left = goal_.tokens_left - load.tokens_left - Parts(heavy)[kLeft].tokens;
  if (left < 0 || left > tokens) return;
  for (Side outer : {kLeft, kRight}) {
    Cuts cuts;
    cuts[0] = heavy;
    cuts[1].piece = light;
    cuts[1].outer = outer;
    cuts[1].first = outer == kLeft ? left : tokens - left;
    AddSplit(sides, -1, load, cuts);
  }
}

std::array<Piece, 2> Cutter::Parts(const Cut& cut) const {
  std::array<Piece, 2> parts;
  model_.Cut(At(cut.piece), cut.first, cut.last, parts[cut.outer], parts[Opposite(cut.outer)]);
  return parts;
}

// Returns the time of the rows that the ranks of a side, which share its part, lack of the other
// part: for the mean of these ranks.
double Cutter::SharedRowsUs(const std::array<Piece, 2>& parts, Side side) const {
  const Piece& to = parts[side];
  const Piece& from = parts[Opposite(side)];
  if (to.count == 0 || from.count == 0) return 0;
  const double ranks = side == kLeft ? goal_.left_ranks : goal_.right_ranks;
  double sharing = std::max(to.tokens / goal_.rank_tokens, to.work_us / goal_.rank_us);
  sharing = std::clamp(sharing, 1.0, ranks);
  return model_.RowsNeeded(to, from) * goal_.row_us * sharing / ranks;
}

// Returns the send time per rank that compute does not hide; keeps rows needed by many nodes from
// piling up on few ranks.
double Cutter::SentUs(const Piece& part) const {
  if (goal_.sent_row_us == 0 || part.count == 0) return 0;
  double sharing = std::max({1.0, part.tokens / goal_.rank_tokens, part.work_us / goal_.rank_us});
  double rank_us = model_.RowsSent(part) * goal_.sent_row_us / sharing;
  return std::max(0.0, rank_us - kHiddenShare * goal_.rank_us);
}

void Cutter::AddSplit(int sides, int flipped, const SideLoad& load, const Cuts& cuts) {
  SideLoad all = load;
  std::array<double, 2> rows_us = {0, 0};
  double sent_us = 0;
  steps_ += 8;
  for (const Cut& cut : cuts) {
    if (cut.piece < 0) continue;
    std::array<Piece, 2> parts;
    if (!model_.Cut(At(cut.piece), cut.first, cut.last, parts[cut.outer],
                    parts[Opposite(cut.outer)])) {
      return;
    }
    for (Side side : {kLeft, kRight}) {
      all.Add(parts[side], side);
      if (!goal_.SingleRanks()) rows_us[side] += SharedRowsUs(parts, side);
      sent_us += SentUs(parts[side]);
    }
  }
  if (all.tokens_left < goal_.least_left || all.tokens_left > goal_.most_left) return;
  Split split;
  split.slower_us = std::max((goal_.held_left_us + all.left_us) / goal_.left_ranks,
                             (goal_.held_right_us + all.right_us) / goal_.right_ranks);
  if (split.slower_us > goal_.most_us) return;
  split.received = all.received[kLeft] + all.received[kRight];
  const double uneven_us = std::max(0.0, split.slower_us - kEven * even_us_);
  double longest_us = split.slower_us;
  if (goal_.SingleRanks()) {
    for (Side side : {kLeft, kRight}) {
      rows_us[side] = all.received[side] * goal_.row_us;
      longest_us = std::max(longest_us, all.received[side] * goal_.least_row_us);
    }
  }
  const double both_us = goal_.SingleRanks() ? kBothWeight * (all.left_us + all.right_us) : 0;
  split.score = longest_us + both_us + (goal_.imbalance_weight - 1) * uneven_us + sent_us +
                goal_.transfer_weight * (std::max(rows_us[kLeft], rows_us[kRight]) +
                                         (rows_us[kLeft] + rows_us[kRight]) / 4);
  split.sides = sides;
  split.flipped = flipped;
  split.cuts = cuts;
  splits_.push_back(split);
}

std::array<std::vector<Piece>, 2> Cutter::Apply(const Split& split) const {
  std::array<std::vector<Piece>, 2> halves;
  for (int i = 0; i < assignments_.size(); ++i) {
    if (IsCut(split, i)) continue;
    halves[assignments_.SideOf(split, i)].push_back(At(i));
  }
  for (const Cut& cut : split.cuts) {
    if (cut.piece < 0) continue;
    std::array<Piece, 2> parts = Parts(cut);
    for (Side side : {kLeft, kRight}) {
      if (parts[side].count > 0) halves[side].push_back(parts[side]);
    }
  }
  return halves;
}

}  // namespace flashcp::solver

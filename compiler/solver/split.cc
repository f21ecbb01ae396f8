#include "compiler/solver/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "compiler/solver/find_root.h"

namespace flashcp::solver {
namespace {

// An outer part with fewer tokens than this on one end is not worth a segment.
constexpr int kShortestEnd = 64;

// Sending hides behind compute; so much of a rank's work is left for it where splits are compared.
constexpr double kHiddenShare = 0.25;

// Work is even where no side has more than this above the mean.
constexpr double kEven = 1.003;

bool IsCut(const Split& split, int piece) {
  return std::any_of(split.cuts.begin(), split.cuts.end(),
                     [piece](const Cut& cut) { return cut.piece == piece; });
}

}  // namespace

void Splitter::Load::Remove(const Piece& piece, Side side) {
  if (side == kLeft) {
    tokens_left -= piece.tokens;
    left_us -= piece.work_us;
  } else {
    right_us -= piece.work_us;
  }
}

Splitter::Splitter(const PieceModel& model, std::vector<Piece> pieces, const SplitGoal& goal)
    : model_(model), pieces_(std::move(pieces)), goal_(goal), heaviest_(pieces_.size()) {
  for (const Piece& piece : pieces_) {
    tokens_ += piece.tokens;
    work_us_ += piece.work_us;
  }
  even_us_ = (work_us_ + goal_.held_left_us + goal_.held_right_us) /
             (goal_.left_ranks + goal_.right_ranks);
  left_share_us_ = std::clamp(even_us_ * goal_.left_ranks - goal_.held_left_us, 0.0, work_us_);
  std::iota(heaviest_.begin(), heaviest_.end(), 0);
  std::sort(heaviest_.begin(), heaviest_.end(), [this](int a, int b) {
    return pieces_[a].work_us != pieces_[b].work_us ? pieces_[a].work_us > pieces_[b].work_us
                                                    : a < b;
  });
  steps_ += size();
  FindFillers();
}

// Whether a side has too much work even without the pieces to cut.
bool Splitter::TooLong(const Load& load) const {
  return goal_.held_left_us + load.left_us > goal_.most_us * goal_.left_ranks ||
         goal_.held_right_us + load.right_us > goal_.most_us * goal_.right_ranks;
}

Splitter::Load Splitter::LoadOf(int sides) const {
  const Assignment& assignment = sides_[sides];
  return {assignment.tokens_left, assignment.left_us, assignment.right_us};
}

void Splitter::AddOneCut(int sides, int flipped, int piece) {
  if (flipped == piece) return;
  const std::vector<Side>& side = sides_[sides].side;
  Load load = LoadOf(sides);
  load.Remove(pieces_[piece], side[piece]);
  if (flipped >= 0) {
    load.Remove(pieces_[flipped], side[flipped]);
    Side now = Opposite(side[flipped]);
    (now == kLeft ? load.left_us : load.right_us) += pieces_[flipped].work_us;
    if (now == kLeft) load.tokens_left += pieces_[flipped].tokens;
  }
  const int64_t tokens = pieces_[piece].tokens;
  int64_t left = goal_.tokens_left - load.tokens_left;
  // A piece that goes to one side whole, where slack lets it.
  if (left < 0 && load.tokens_left <= goal_.most_left) left = 0;
  if (left > tokens && load.tokens_left + tokens >= goal_.least_left) left = tokens;
  if (left < 0 || left > tokens) return;
  if (TooLong(load)) return;
  for (Side outer : {kLeft, kRight}) {
    Cut cut;
    cut.piece = piece;
    cut.outer = outer;
    double outer_us =
        outer == kLeft ? left_share_us_ - load.left_us : work_us_ - left_share_us_ - load.right_us;
    SolveOneCut(pieces_[piece], outer == kLeft ? left : tokens - left, outer_us, cut);
    Cut aligned = cut;
    aligned.first = model_.Align(pieces_[piece], cut.first);
    aligned.last = tokens - model_.Align(pieces_[piece], tokens - cut.last);
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

// Whether the tokens before the last `tail` ones need a block of rows less than all: then a tail of
// at most a block costs no more apart.
bool Splitter::EndsShort(const Piece& piece, int64_t tail) const {
  const Piece::Interval& end = piece.intervals[piece.count - 1];
  const int64_t rest = (end.end - end.begin) % model_.problem().cluster.tiles.block_rows;
  return rest > 0 && rest <= tail && tail < end.end - end.begin;
}

// The cuts, and a cut of another piece's end that makes up for the tokens where they must be exact:
// of the lightest piece, and of the lightest that pays for no more blocks.
void Splitter::AddAligned(int sides, int flipped, const Load& load, Cuts cuts) {
  int64_t left = load.tokens_left;
  Cut* filler = nullptr;
  for (Cut& cut : cuts) {
    if (cut.piece < 0) {
      filler = &cut;
      continue;
    }
    const int64_t tokens = pieces_[cut.piece].tokens;
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
    Side side = sides_[sides].side[i];
    if (i == flipped) side = Opposite(side);
    if (side != giver || pieces_[i].tokens <= given) continue;
    if (i == cuts[0].piece || i == cuts[1].piece) continue;
    const bool ends_short = EndsShort(pieces_[i], given);
    if (!first && !ends_short) continue;
    *filler = Cut();
    filler->piece = i;
    filler->outer = giver;
    filler->first = pieces_[i].tokens - given;
    Load rest = load;
    rest.Remove(pieces_[i], giver);
    AddSplit(sides, flipped, rest, cuts);
    if (ends_short) return;
    first = false;
  }
}

// Finds the outer part's first tokens, such that its work is about outer_us.
void Splitter::SolveOneCut(const Piece& piece, int64_t outer_tokens, double outer_us,
                           Cut& cut) const {
  const double all_us = model_.Prefix(piece, piece.tokens);
  auto missing_us = [&](int64_t first) {
    return outer_us - model_.Prefix(piece, first) - all_us +
           model_.Prefix(piece, piece.tokens - outer_tokens + first);
  };
  cut.first = outer_tokens;
  if (outer_tokens > 0 && outer_tokens < piece.tokens) {
    cut.first = FindRoot(0, outer_tokens, missing_us);
    if (cut.first < kShortestEnd) cut.first = 0;
    if (outer_tokens - cut.first < kShortestEnd) cut.first = outer_tokens;
  }
  cut.last = outer_tokens - cut.first;
}

// How many tokens of the heavy piece go left such that the work is even; the light piece makes up
// the tokens.
int64_t Splitter::SolveTwoCuts(const Load& load, const Cut& heavy, const Cut& light) const {
  const Piece& a = pieces_[heavy.piece];
  const Piece& b = pieces_[light.piece];
  const int64_t left = goal_.tokens_left - load.tokens_left;
  const double a_us = model_.Prefix(a, a.tokens);
  const double b_us = model_.Prefix(b, b.tokens);
  const double need_us = left_share_us_ - load.left_us;
  auto extra_us = [&](int64_t x) {
    int64_t y = left - x;
    return (heavy.outer == kLeft ? model_.Prefix(a, x) : a_us - model_.Prefix(a, a.tokens - x)) +
           (light.outer == kLeft ? model_.Prefix(b, y) : b_us - model_.Prefix(b, b.tokens - y)) -
           need_us;
  };
  const int64_t least = std::max<int64_t>(0, left - b.tokens);
  const int64_t most = std::min(a.tokens, left);
  const int64_t even = FindRoot(least, most, extra_us);
  int64_t aligned =
      heavy.outer == kLeft ? model_.Align(a, even) : a.tokens - model_.Align(a, a.tokens - even);
  return aligned >= least && aligned <= most ? aligned : even;
}

void Splitter::AddTwoCuts(int sides, int heavy, int light) {
  if (heavy == light) return;
  Load load = LoadOf(sides);
  load.Remove(pieces_[heavy], sides_[sides].side[heavy]);
  load.Remove(pieces_[light], sides_[sides].side[light]);
  const int64_t left = goal_.tokens_left - load.tokens_left;
  if (left < 0 || left > pieces_[heavy].tokens + pieces_[light].tokens) return;
  if (TooLong(load)) return;
  for (Side heavy_outer : {kRight, kLeft}) {
    for (Side light_outer : {kRight, kLeft}) {
      Cuts cuts;
      cuts[0].piece = heavy;
      cuts[0].outer = heavy_outer;
      cuts[1].piece = light;
      cuts[1].outer = light_outer;
      int64_t x = SolveTwoCuts(load, cuts[0], cuts[1]);
      int64_t y = left - x;
      cuts[0].first = heavy_outer == kLeft ? x : pieces_[heavy].tokens - x;
      cuts[1].first = light_outer == kLeft ? y : pieces_[light].tokens - y;
      AddSplit(sides, -1, load, cuts);
      cuts[1].first = model_.Align(pieces_[light], cuts[1].first);
      if (goal_.least_left == goal_.most_left) AddAligned(sides, -1, load, cuts);
    }
  }
}

// About in the middle of its work: head against tail, and outer part against as many tokens.
std::vector<Cut> Splitter::HeavyCuts(int heavy) const {
  const Piece& piece = pieces_[heavy];
  const double left_share = left_share_us_ / work_us_;
  const double all_us = model_.Prefix(piece, piece.tokens);
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
    SolveOneCut(piece, static_cast<int64_t>(piece.tokens * share), share * all_us, ends);
    ends.first = model_.Align(piece, ends.first);
    ends.last = piece.tokens - model_.Align(piece, piece.tokens - ends.last);
    if (ends.last > 0 && ends.first + ends.last <= piece.tokens) cuts.push_back(ends);
  }
  return cuts;
}

void Splitter::AddHeavyCuts(int heavy, int light, double token_weight) {
  if (heavy == light) return;
  for (const Cut& cut : HeavyCuts(heavy)) {
    Piece outer, middle;
    if (!model_.Cut(pieces_[heavy], cut.first, cut.last, outer, middle)) continue;
    const int sides = AddGreedySides(heavy, light, token_weight, &cut);
    if (sides >= 0) AddFilled(sides, cut, light);
  }
}

// The split in which the light piece makes up for the tokens that the others leave open.
void Splitter::AddFilled(int sides, const Cut& heavy, int light) {
  Load load = LoadOf(sides);
  load.Remove(pieces_[heavy.piece], sides_[sides].side[heavy.piece]);
  load.Remove(pieces_[light], sides_[sides].side[light]);
  if (TooLong(load)) return;
  const int64_t tokens = pieces_[light].tokens;
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

std::array<Piece, 2> Splitter::Parts(const Cut& cut) const {
  std::array<Piece, 2> parts;
  model_.Cut(pieces_[cut.piece], cut.first, cut.last, parts[cut.outer], parts[Opposite(cut.outer)]);
  return parts;
}

// Time of the rows that ranks which share `to` lack of `from`, for the mean of `ranks`.
double Splitter::RowsUs(const Piece& to, const Piece& from, int ranks) const {
  if (to.count == 0 || from.count == 0) return 0;
  double sharing = std::max(to.tokens / goal_.rank_tokens, to.work_us / goal_.rank_us);
  sharing = std::clamp(sharing, 1.0, static_cast<double>(ranks));
  return model_.RowsNeeded(to, from) * goal_.row_us * sharing / ranks;
}

// What the ranks that will share the part spend on sending its rows, where that is more than hides
// behind their work: tokens that many nodes need must not gather on few ranks.
double Splitter::SentUs(const Piece& part) const {
  if (goal_.sent_row_us == 0 || part.count == 0) return 0;
  double sharing = std::max({1.0, part.tokens / goal_.rank_tokens, part.work_us / goal_.rank_us});
  double rank_us = model_.RowsSent(part) * goal_.sent_row_us / sharing;
  return std::max(0.0, rank_us - kHiddenShare * goal_.rank_us);
}

void Splitter::AddSplit(int sides, int flipped, const Load& load, const Cuts& cuts) {
  double left_us = load.left_us;
  double right_us = load.right_us;
  int64_t tokens_left = load.tokens_left;
  double left_rows_us = 0;
  double right_rows_us = 0;
  double sent_us = 0;
  steps_ += 8;
  for (const Cut& cut : cuts) {
    if (cut.piece < 0) continue;
    std::array<Piece, 2> parts;
    if (!model_.Cut(pieces_[cut.piece], cut.first, cut.last, parts[cut.outer],
                    parts[Opposite(cut.outer)])) {
      return;
    }
    left_us += parts[kLeft].work_us;
    right_us += parts[kRight].work_us;
    tokens_left += parts[kLeft].tokens;
    left_rows_us += RowsUs(parts[kLeft], parts[kRight], goal_.left_ranks);
    right_rows_us += RowsUs(parts[kRight], parts[kLeft], goal_.right_ranks);
    sent_us += SentUs(parts[kLeft]) + SentUs(parts[kRight]);
  }
  if (tokens_left < goal_.least_left || tokens_left > goal_.most_left) return;
  Split split;
  split.slower_us = std::max((goal_.held_left_us + left_us) / goal_.left_ranks,
                             (goal_.held_right_us + right_us) / goal_.right_ranks);
  if (split.slower_us > goal_.most_us) return;
  const double uneven_us = std::max(0.0, split.slower_us - kEven * even_us_);
  split.score =
      split.slower_us + (goal_.uneven_weight - 1) * uneven_us + sent_us +
      goal_.lambda * (std::max(left_rows_us, right_rows_us) + (left_rows_us + right_rows_us) / 4);
  split.sides = sides;
  split.flipped = flipped;
  split.cuts = cuts;
  splits_.push_back(split);
}

std::array<std::vector<Piece>, 2> Splitter::Apply(const Split& split) const {
  std::array<std::vector<Piece>, 2> halves;
  for (int i = 0; i < size(); ++i) {
    if (IsCut(split, i)) continue;
    halves[SideOf(split, i)].push_back(pieces_[i]);
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

// Lists divisions of two ranks: from the present one, with pieces moved or cut, sorted by score.

#include "compiler/solver/resplit.h"

#include <algorithm>
#include <utility>

#include "compiler/solver/segments.h"

namespace flashcp::solver {
namespace {

// More shared pieces than this have too many present assignments.
constexpr int kMostShared = 4;

// Divisions with a piece moved, and the heaviest and lightest pieces that are cut in pairs.
constexpr int kMoved = 12;
constexpr int kPaired = 2;

}  // namespace

Resplit::Resplit(const PieceModel& model, const SearchState& state, int rank, int other,
                 double transfer_weight, double most_us, Random& random)
    : state_(state),
      rank_(rank),
      other_(other),
      goal_(Goal(model, state, rank, other, transfer_weight, most_us)),
      assignments_(Pool(model, state, rank, other), goal_),
      cutter_(model, assignments_, goal_) {
  if (assignments_.size() == 0) return;
  FindHolders();
  AddFromPresent(random);
  AddTwoCuts(random);
  splits_ = std::move(cutter_.splits());
  std::stable_sort(splits_.begin(), splits_.end(),
                   [](const Split& a, const Split& b) { return a.score < b.score; });
}

// Returns the pieces that both hold; nothing if the two hold too many intervals of one document.
std::vector<Piece> Resplit::Pool(const PieceModel& model, const SearchState& state, int rank,
                                 int other) {
  std::vector<int> documents;
  const std::vector<int>& left = state.DocumentsOf(rank);
  const std::vector<int>& right = state.DocumentsOf(other);
  std::set_union(left.begin(), left.end(), right.begin(), right.end(),
                 std::back_inserter(documents));
  std::vector<Piece> pieces;
  for (int d : documents) {
    Piece& piece = pieces.emplace_back();
    piece.document = d;
    for (const Segment& segment : state.placement().documents[d]) {
      if (segment.rank != rank && segment.rank != other) continue;
      if (!piece.Append(segment.begin, segment.end)) return {};
    }
    model.Weigh(piece);
  }
  return pieces;
}

SplitGoal Resplit::Goal(const PieceModel& model, const SearchState& state, int rank, int other,
                        double transfer_weight, double most_us) {
  const Problem& problem = state.problem();
  const Cluster& cluster = problem.cluster;
  const int64_t tokens = state.cost().tokens(rank) + state.cost().tokens(other);
  SplitGoal goal;
  goal.tokens_left = state.cost().tokens(rank);
  goal.least_left = goal.most_left = goal.tokens_left;
  if (problem.slack_percent > 0) {
    const int64_t cap = state.token_cap();
    goal.tokens_left = tokens / 2;
    goal.least_left = std::max<int64_t>(0, tokens - cap);
    goal.most_left = std::min(tokens, cap);
  }
  const bool in_node = rank / cluster.ranks_per_node == other / cluster.ranks_per_node;
  const LinkClass& link = in_node ? cluster.intra_node : cluster.inter_node;
  goal.row_us = model.RowUs(link);
  goal.least_row_us = model.LeastRowUs();
  goal.transfer_weight = transfer_weight;
  goal.most_us = most_us;
  return goal;
}

void Resplit::FindHolders() {
  for (int i = 0; i < assignments_.size(); ++i) {
    bool left = false;
    bool right = false;
    for (const Segment& segment : state_.placement().documents[assignments_.piece(i).document]) {
      left |= segment.rank == rank_;
      right |= segment.rank == other_;
    }
    held_.push_back(left && right ? kHeldByBoth : left ? kHeldLeft : kHeldRight);
    if (held_.back() == kHeldByBoth) shared_.push_back(i);
  }
}

void Resplit::AddFromPresent(Random& random) {
  if (shared_.size() > kMostShared) return;
  const int size = assignments_.size();
  const std::vector<int>& heaviest = assignments_.heaviest();
  std::vector<Side> sides = PresentSides(random);
  for (int bits = 0; bits < 1 << shared_.size(); ++bits) {
    for (size_t j = 0; j < shared_.size(); ++j) sides[shared_[j]] = bits >> j & 1 ? kRight : kLeft;
    const int present = assignments_.Add(sides);
    std::vector<int> cut(heaviest.begin(), heaviest.begin() + std::min(size, 4));
    for (int k = 0; k < 3 && size > 4; ++k) cut.push_back(random.Below(size));
    cut.insert(cut.end(), shared_.begin(), shared_.end());
    std::sort(cut.begin(), cut.end());
    cut.erase(std::unique(cut.begin(), cut.end()), cut.end());
    for (int piece : cut) cutter_.AddOneCut(present, -1, piece);
    for (int k = 0; k < kMoved; ++k) {
      const int moved = random.Below(size);
      const int piece = k % 2 == 1 ? heaviest[random.Below(std::min(size, 4))] : random.Below(size);
      cutter_.AddOneCut(present, moved, piece);
    }
  }
}

void Resplit::AddTwoCuts(Random& random) {
  const std::vector<int> lightest = assignments_.Lightest(kPaired);
  for (int i = 0; i < std::min(assignments_.size(), kPaired); ++i) {
    const int heavy = assignments_.heaviest()[i];
    for (int light : lightest) {
      if (heavy == light) continue;
      const int sides = assignments_.AddGreedy(heavy, light, 1);
      if (sides >= 0) cutter_.AddTwoCuts(sides, heavy, light);
      if (shared_.empty()) continue;
      cutter_.AddTwoCuts(assignments_.Add(PresentSides(random)), heavy, light);
    }
  }
}

// Each piece where it is; those that both hold at random.
std::vector<Side> Resplit::PresentSides(Random& random) const {
  std::vector<Side> sides(assignments_.size());
  for (int i = 0; i < assignments_.size(); ++i) {
    const bool draw = held_[i] == kHeldByBoth;
    sides[i] = draw ? static_cast<Side>(random.Below(2)) : static_cast<Side>(held_[i]);
  }
  return sides;
}

std::vector<DocumentChange> Resplit::Changes(const Split& split) const {
  std::vector<DocumentChange> changes;
  for (int i = 0; i < assignments_.size(); ++i) {
    const Cut* cut = nullptr;
    for (const Cut& candidate : split.cuts) {
      if (candidate.piece == i) cut = &candidate;
    }
    if (cut == nullptr && static_cast<uint8_t>(assignments_.SideOf(split, i)) == held_[i]) continue;
    std::array<Piece, 2> parts;
    if (cut != nullptr) {
      parts = cutter_.Parts(*cut);
    } else {
      parts[assignments_.SideOf(split, i)] = assignments_.piece(i);
    }
    DocumentChange& change = changes.emplace_back();
    change.document = assignments_.piece(i).document;
    for (const Segment& segment : state_.placement().documents[change.document]) {
      if (segment.rank != rank_ && segment.rank != other_) change.segments.push_back(segment);
    }
    for (Side side : {kLeft, kRight}) {
      for (int k = 0; k < parts[side].count; ++k) {
        const Piece::Interval& interval = parts[side].intervals[k];
        change.segments.push_back({interval.begin, interval.end, side == kLeft ? rank_ : other_});
      }
    }
    JoinSegments(change.segments);
  }
  return changes;
}

}  // namespace flashcp::solver

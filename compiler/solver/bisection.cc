// Decides a placement by recursive bisection with free boundaries.
//
// Idea: a group of n ranks and its pieces are split into two groups, whose sizes are multiples of
// the node size while the group spans nodes, so that long documents stay inside a node. Each split
// tries several pieces to cut (see split.h) and keeps the one with the best score; the recursion
// ends with one rank, which owns its pieces. Recursive bisection is the classic of mesh
// partitioning (Berger, Bokhari 1987); what is ours is the cut, which meets tokens and work at
// once.

#include "compiler/solver/bisection.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "compiler/solver/assignment.h"
#include "compiler/solver/cutting.h"
#include "compiler/solver/regime.h"
#include "compiler/solver/segments.h"

namespace flashcp::solver {
namespace {

using Pieces = std::vector<Piece>;

class Bisection {
 public:
  Bisection(const PieceModel& model, const BisectionStart& start, const NodeSpread& spread,
            Budget& budget)
      : model_(model),
        problem_(model.problem()),
        regime_(RegimeOf(problem_.ranks)),
        start_(start),
        spread_(spread),
        budget_(budget),
        total_(problem_.TotalTokens()),
        cap_(problem_.TokenCap()),
        owned_(spread.owned),
        held_(problem_.ranks + 1) {
    for (int rank = 0; rank < problem_.ranks; ++rank) {
      held_[rank + 1] = held_[rank];
      for (const Piece& piece : owned_[rank]) held_[rank + 1].Add(piece);
    }
    work_us_ = held_.back().work_us;
  }

  Placement Run() {
    Pieces pieces;
    for (size_t d = 0; d < problem_.documents.size(); ++d) {
      Piece piece;
      piece.document = static_cast<int>(d);
      if (spread_.spread[d] || problem_.documents[d].length == 0) continue;
      piece.Append(0, problem_.documents[d].length);
      model_.Weigh(piece);
      work_us_ += piece.work_us;
      pieces.push_back(piece);
    }
    Halve(std::move(pieces), 0, problem_.ranks);
    return Gather();
  }

 private:
  // Tokens and work that ranks own before anything is split.
  struct Held {
    int64_t tokens = 0;
    double work_us = 0;

    void Add(const Piece& piece) {
      tokens += piece.tokens;
      work_us += piece.work_us;
    }
  };

  Held HeldBy(int first, int ranks) const {
    const Held& before = held_[first];
    const Held& all = held_[first + ranks];
    return {all.tokens - before.tokens, all.work_us - before.work_us};
  }

  // Ranks [first, first + ranks) share the pieces.
  void Halve(Pieces pieces, int first, int ranks) {
    if (ranks == 1) {
      owned_[first].insert(owned_[first].end(), pieces.begin(), pieces.end());
      return;
    }
    const int left_ranks = LeftRanks(ranks);
    std::array<Pieces, 2> halves = Divide(std::move(pieces), first, left_ranks, ranks);
    Halve(std::move(halves[kLeft]), first, left_ranks);
    Halve(std::move(halves[kRight]), first + left_ranks, ranks - left_ranks);
  }

  // Half, in whole nodes while there are several.
  int LeftRanks(int ranks) const {
    const int node = problem_.cluster.ranks_per_node;
    if (ranks <= node) return ranks / 2;
    return std::max(1, (ranks + node - 1) / node / 2) * node;
  }

  SplitGoal Goal(const Pieces& pieces, int first, int left_ranks, int ranks) const {
    const LinkClass& link = ranks <= problem_.cluster.ranks_per_node ? problem_.cluster.intra_node
                                                                     : problem_.cluster.inter_node;
    SplitGoal goal;
    goal.left_ranks = left_ranks;
    goal.right_ranks = ranks - left_ranks;
    const Held left = HeldBy(first, left_ranks);
    const Held right = HeldBy(first + left_ranks, ranks - left_ranks);
    goal.held_left_us = left.work_us;
    goal.held_right_us = right.work_us;
    int64_t tokens = 0;
    for (const Piece& piece : pieces) tokens += piece.tokens;
    if (problem_.slack_percent == 0) {
      // Rank r owns the tokens of a contiguous placement: floor(T/N) or ceil(T/N).
      const int ends = first + left_ranks;
      goal.tokens_left =
          total_ * ends / problem_.ranks - total_ * first / problem_.ranks - left.tokens;
      goal.least_left = goal.most_left = goal.tokens_left;
    } else {
      goal.least_left = std::max<int64_t>(0, tokens + right.tokens - cap_ * goal.right_ranks);
      goal.most_left = std::min(tokens, cap_ * left_ranks - left.tokens);
      const int64_t even = (tokens + left.tokens + right.tokens) * left_ranks / ranks;
      goal.tokens_left = std::clamp(even - left.tokens, goal.least_left, goal.most_left);
    }
    goal.row_us = model_.RowUs(link);
    goal.least_row_us = model_.LeastRowUs();
    // Forward, and again backward.
    if (problem_.exchange == Exchange::kNeeded && regime_.many_receivers &&
        problem_.ranks > problem_.cluster.ranks_per_node) {
      goal.sent_row_us =
          2.0 * problem_.KeyValueBytesPerToken() / problem_.cluster.inter_node.bytes_per_us;
    }
    goal.transfer_weight = start_.transfer_weight;
    goal.imbalance_weight = regime_.imbalance_weight;
    goal.rank_tokens = std::max(1.0, static_cast<double>(total_) / problem_.ranks);
    goal.rank_us = std::max(1e-9, work_us_ / problem_.ranks);
    return goal;
  }

  std::array<Pieces, 2> Divide(Pieces pieces, int first, int left_ranks, int ranks) {
    SplitGoal goal = Goal(pieces, first, left_ranks, ranks);
    Assignments assignments(std::move(pieces), goal);
    Cutter cutter(model_, assignments, goal);
    AddOneCuts(assignments, cutter);
    AddTwoCuts(assignments, cutter);
    if (regime_.many_receivers) AddHeavyCuts(assignments, cutter);
    budget_.Spend(assignments.steps() + cutter.steps());
    const std::vector<Split>& splits = cutter.splits();
    if (splits.empty()) return CutInOrder(assignments, goal.tokens_left);
    return cutter.Apply(
        *std::min_element(splits.begin(), splits.end(),
                          [](const Split& a, const Split& b) { return a.score < b.score; }));
  }

  // The heaviest pieces, some quantiles, and the one with most tokens.
  void AddOneCuts(Assignments& assignments, Cutter& cutter) const {
    const int size = assignments.size();
    const std::vector<int>& heaviest = assignments.heaviest();
    std::vector<int> candidates(heaviest.begin(), heaviest.begin() + std::min(size, 4));
    for (int k = 1; k <= 4 && size > 8; ++k) candidates.push_back(heaviest[int64_t{size} * k / 6]);
    int most = 0;
    for (int i = 1; i < size; ++i) {
      if (assignments.piece(i).tokens > assignments.piece(most).tokens) most = i;
    }
    if (size > 0) candidates.push_back(most);
    std::sort(candidates.begin(), candidates.end());
    candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
    for (int piece : candidates) {
      int sides = assignments.AddGreedy(piece, -1, start_.token_weight);
      if (sides >= 0) cutter.AddOneCut(sides, -1, piece);
    }
  }

  void AddTwoCuts(Assignments& assignments, Cutter& cutter) const {
    const std::vector<int> lightest = assignments.Lightest(3);
    const int heavy = std::min(assignments.size(), 3);
    for (int i = 0; i < heavy; ++i) {
      for (int light : lightest) {
        if (assignments.heaviest()[i] == light) continue;
        int piece = assignments.heaviest()[i];
        int sides = assignments.AddGreedy(piece, light, start_.token_weight);
        if (sides >= 0) cutter.AddTwoCuts(sides, piece, light);
      }
    }
  }

  // Cuts the heaviest piece, with one of two light ones.
  void AddHeavyCuts(Assignments& assignments, Cutter& cutter) const {
    const std::vector<int>& heaviest = assignments.heaviest();
    const int64_t size = assignments.size();
    if (size == 0) return;
    for (int64_t light : {size / 2, size * 5 / 6}) {
      cutter.AddHeavyCuts(heaviest[0], heaviest[light], start_.token_weight);
    }
  }

  // Puts one piece after the other on the left side until it is full: if no piece is large enough
  // to even the tokens alone.
  std::array<Pieces, 2> CutInOrder(const Assignments& assignments, int64_t tokens_left) const {
    std::array<Pieces, 2> halves;
    for (int i = 0; i < assignments.size(); ++i) {
      const Piece& piece = assignments.piece(i);
      int64_t left = std::min(piece.tokens, tokens_left);
      tokens_left -= left;
      std::array<Piece, 2> parts;
      model_.Cut(piece, left, 0, parts[kLeft], parts[kRight]);
      for (Side side : {kLeft, kRight}) {
        if (parts[side].count > 0) halves[side].push_back(parts[side]);
      }
    }
    return halves;
  }

  Placement Gather() const {
    Placement placement;
    placement.documents.resize(problem_.documents.size());
    for (int rank = 0; rank < problem_.ranks; ++rank) {
      for (const Piece& piece : owned_[rank]) {
        for (int i = 0; i < piece.count; ++i) {
          placement.documents[piece.document].push_back(
              {piece.intervals[i].begin, piece.intervals[i].end, rank});
        }
      }
    }
    for (std::vector<Segment>& segments : placement.documents) JoinSegments(segments);
    return placement;
  }

  const PieceModel& model_;
  const Problem& problem_;
  const Regime& regime_;
  const BisectionStart start_;
  const NodeSpread& spread_;
  Budget& budget_;
  const int64_t total_;
  const int64_t cap_;
  double work_us_ = 0;  // of all documents
  std::vector<Pieces> owned_;
  std::vector<Held> held_;  // by all ranks below each
};

}  // namespace

Placement Bisect(const PieceModel& model, const BisectionStart& start, const NodeSpread& spread,
                 Budget& budget) {
  return Bisection(model, start, spread, budget).Run();
}

}  // namespace flashcp::solver

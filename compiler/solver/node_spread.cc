// Spreads heavy documents over whole nodes, so that nodes have equal work and equal sends.
//
// Idea: a row goes to every node whose rows of the document lie behind it. If nodes take equal
// shares of the work from the front to the back, the first ones own most rows and send each of them
// to all others: that takes longer than all that anyone computes. So node k of n takes the next
// rows from the front and the next ones from the back, as in zigzag: with h of the former, which n
// - 1 nodes need, and t of the latter, which k need, sends are even if h (n - 1) + t k
// is the same for all, and a root search evens their work. Ranks of a node divide its rows
// likewise, with equally many tokens for each. If queries see on to the last key, not back to the
// first, front and back change roles.
//
// Nodes of heavy documents have few tokens of them, and fill up with light documents. A document
// gets so many nodes that this leaves them no more work than the others.

#include "compiler/solver/node_spread.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

#include "compiler/solver/find_root.h"
#include "compiler/solver/regime.h"

namespace flashcp::solver {
namespace {

// A document with more work than this share of a node's is spread: over one node at least.
constexpr double kLeastNodes = 0.25;

// Room for other work: the mean over the work that nodes get from their heavy documents and the
// light ones that fill them up, and at least from the heavy ones alone.
constexpr double kRoomWhenFull = 1.15;
constexpr double kRoom = 1.05;

constexpr int kHalvings = 30;

class Spreader {
 public:
  Spreader(const PieceModel& model, Budget& budget)
      : model_(model),
        problem_(model.problem()),
        budget_(budget),
        node_ranks_(problem_.cluster.ranks_per_node),
        all_nodes_(problem_.ranks / node_ranks_),
        rank_tokens_(problem_.TotalTokens() / problem_.ranks) {}

  NodeSpread Run() {
    if (all_nodes_ < 2 || (node_ranks_ > 1 && all_nodes_ <= kMostNodesWithoutSpread))
      return SpreadNothing(problem_);
    Measure();
    Sort();
    for (size_t count = heavy_.size(); count > 0;) {
      const std::optional<std::vector<int>> nodes = Nodes(count);
      if (!nodes) {
        --count;
        continue;
      }
      NodeSpread result = SpreadNothing(problem_);
      const size_t spread = SpreadFirst(*nodes, result);
      if (spread == count) return result;
      count = spread;
    }
    return SpreadNothing(problem_);
  }

 private:
  void Measure() {
    double work_us = 0;
    for (size_t d = 0; d < problem_.documents.size(); ++d) {
      Piece& piece = documents_.emplace_back();
      piece.document = static_cast<int>(d);
      piece.Append(0, problem_.documents[d].length);
      model_.Weigh(piece);
      work_us += piece.work_us;
    }
    budget_.Spend(documents_.size());
    node_us_ = work_us / problem_.ranks * node_ranks_;
  }

  double NodesOf(const Piece& document) const { return document.work_us / node_us_; }

  void Sort() {
    for (const Piece& document : documents_) {
      if (document.tokens == 0) continue;
      const Document& whole = model_.document(document);
      const bool far = SeesBackToStart(whole) || SeesOnToEnd(whole);
      const bool heavy = far && NodesOf(document) > kLeastNodes;
      (heavy ? heavy_ : light_).push_back(document.document);
    }
    std::stable_sort(heavy_.begin(), heavy_.end(), [this](int a, int b) {
      return documents_[a].work_us > documents_[b].work_us;
    });
    std::stable_sort(light_.begin(), light_.end(), [this](int a, int b) {
      return documents_[a].work_us * documents_[b].tokens <
             documents_[b].work_us * documents_[a].tokens;
    });
  }

  // Returns the number of nodes of each of the first `count` heavy documents; nothing if there are
  // too few.
  std::optional<std::vector<int>> Nodes(size_t count) const {
    const double shared = SharedNodes(count);
    double all = 0;
    for (size_t i = 0; i < count; ++i) all += NodesOf(documents_[heavy_[i]]);
    for (double rounding : {0.5, 0.0}) {
      std::vector<int> nodes;
      for (size_t i = 0; i < count; ++i) {
        const double own = NodesOf(documents_[heavy_[i]]);
        nodes.push_back(std::max(static_cast<int>(std::ceil(own * kRoom)),
                                 static_cast<int>(shared * own / all + rounding)));
      }
      if (std::accumulate(nodes.begin(), nodes.end(), 0) <= all_nodes_) return nodes;
    }
    return std::nullopt;
  }

  // The fewest nodes that have room for the first `count` heavy documents and the lightest others
  // that fill up their tokens; all nodes if even these have no room.
  int SharedNodes(size_t count) const {
    double nodes = 0;
    int64_t tokens = 0;
    auto add = [&](int d) {
      nodes += NodesOf(documents_[d]);
      tokens += documents_[d].tokens;
    };
    for (size_t i = 0; i < count; ++i) add(heavy_[i]);
    auto light = light_.begin();
    for (int shared = 1; shared < all_nodes_; ++shared) {
      const int64_t room = shared * node_ranks_ * rank_tokens_;
      while (light != light_.end() && tokens < room) add(*light++);
      if (tokens >= room && nodes * kRoomWhenFull <= shared) return shared;
    }
    return all_nodes_;
  }

  // Returns the number of documents before the first one that would give a rank too many tokens or
  // intervals.
  size_t SpreadFirst(const std::vector<int>& nodes, NodeSpread& result) {
    int first = 0;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!SpreadOne(documents_[heavy_[i]], first, nodes[i], result)) return i;
      first += nodes[i] * node_ranks_;
    }
    return nodes.size();
  }

  bool SpreadOne(const Piece& document, int first, int nodes, NodeSpread& result) {
    result.spread[document.document] = true;
    auto shares = Divide(document, nodes, /*even_tokens=*/false);
    if (!shares) return false;
    for (const Piece& share : *shares) {
      auto parts = Divide(share, node_ranks_, /*even_tokens=*/true);
      if (!parts) return false;
      for (const Piece& part : *parts) {
        if (part.tokens > rank_tokens_) return false;
        if (part.count > 0) result.owned[first].push_back(part);
        ++first;
      }
    }
    return true;
  }

  // Tokens that a part takes off the front and the back of the rest of a piece.
  struct Ends {
    int64_t first;
    int64_t last;
  };

  // Returns ends with work `us`. Rows of one end weigh 1, those of the other, which more queries of
  // the part see, `weight`; together they weigh `rows` if tokens [low, high) are enough. The former
  // is the front, unless queries see on to the last key.
  Ends TakeEnds(const Piece& piece, int64_t low, int64_t high, double us, double rows,
                double weight) {
    const bool front = SeesBackToStart(model_.document(piece));
    auto ends = [&](int64_t seeing) {
      const int64_t seen =
          std::clamp<int64_t>(static_cast<int64_t>(rows - weight * seeing), 0, high - low - seeing);
      return front ? Ends{seen, seeing} : Ends{seeing, seen};
    };
    const double before_us = model_.Prefix(piece, low);
    const double all_us = model_.Prefix(piece, high);
    return ends(FindRoot(0, high - low, [&](int64_t seeing) {
      budget_.Spend(1);
      const Ends taken = ends(seeing);
      return model_.Prefix(piece, low + taken.first) - before_us + all_us -
             model_.Prefix(piece, high - taken.last) - us;
    }));
  }

  // Returns the weight of a row from the end of part k that sees the others against one from the
  // end that they see: k nodes need the former, parts - 1 the latter.
  static double Weight(int k, int parts) { return static_cast<double>(k) / (parts - 1); }

  // The weighted rows that each part takes, so that the last one, too, has as many.
  double EvenRows(const Piece& piece, int parts) {
    const double us = model_.Prefix(piece, piece.tokens) / parts;
    double low_rows = 0;
    double high_rows = piece.tokens;
    for (int i = 0; i < kHalvings; ++i) {
      const double rows = (low_rows + high_rows) / 2;
      int64_t low = 0;
      int64_t high = piece.tokens;
      for (int k = 0; k + 1 < parts; ++k) {
        const Ends ends = TakeEnds(piece, low, high, us, rows, Weight(k, parts));
        low += ends.first;
        high -= ends.last;
      }
      (high - low > rows ? low_rows : high_rows) = rows;
    }
    return high_rows;
  }

  // Parts of equal work, cut at blocks: with equal sends or, if asked for or if all nodes
  // need all rows, equal tokens.
  std::optional<std::vector<Piece>> Divide(const Piece& piece, int parts, bool even_tokens) {
    const Document& whole = model_.document(piece);
    if (SeesBackToStart(whole) && SeesOnToEnd(whole)) even_tokens = true;
    std::vector<Piece> result;
    const double sent_rows = even_tokens || parts == 1 ? 0 : EvenRows(piece, parts);
    Piece rest = piece;
    for (int k = 0; k + 1 < parts; ++k) {
      const double us = model_.Prefix(rest, rest.tokens) / (parts - k);
      const double rows = even_tokens ? static_cast<double>(rest.tokens) / (parts - k) : sent_rows;
      const double weight = even_tokens ? 1 : Weight(k, parts);
      const Ends ends = TakeEnds(rest, 0, rest.tokens, us, rows, weight);
      const int64_t first = model_.Align(rest, ends.first);
      const int64_t end = std::max(first, model_.Align(rest, rest.tokens - ends.last));
      Piece middle;
      if (!model_.Cut(rest, first, rest.tokens - end, result.emplace_back(), middle)) {
        return std::nullopt;
      }
      rest = middle;
    }
    result.push_back(rest);
    return result;
  }

  const PieceModel& model_;
  const Problem& problem_;
  Budget& budget_;
  const int node_ranks_;
  const int all_nodes_;
  const int64_t rank_tokens_;
  double node_us_ = 0;            // work of a node, on the mean
  std::vector<Piece> documents_;  // whole
  std::vector<int> heavy_;        // heaviest first
  std::vector<int> light_;        // with least work for a token first
};

}  // namespace

NodeSpread SpreadNothing(const Problem& problem) {
  NodeSpread nothing;
  nothing.spread.resize(problem.documents.size());
  nothing.owned.resize(problem.ranks);
  return nothing;
}

NodeSpread SpreadOverNodes(const PieceModel& model, Budget& budget) {
  return Spreader(model, budget).Run();
}

}  // namespace flashcp::solver

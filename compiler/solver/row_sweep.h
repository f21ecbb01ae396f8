// Sweeps over the rows of a document to find the traffic of its ranks if only needed rows travel.
//
// Idea: each segment needs an interval of keys (KeysNeeded). Both ends of these intervals rise from
// segment to segment, so one sweep over the positions of a document meets every opening and closing
// in order; between two of them, a fixed set of ranks needs the rows that the owner of the position
// holds. Sums over the sweep so far (rows owned by each node, and shares that each of its needing
// ranks would have received) make an interval's traffic the difference between its two ends.

#ifndef FLASHCP_COMPILER_SOLVER_ROW_SWEEP_H_
#define FLASHCP_COMPILER_SOLVER_ROW_SWEEP_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "compiler/solver/problem.h"
#include "compiler/solver/traffic.h"

namespace flashcp::solver {

class RowSweep {
 public:
  explicit RowSweep(const Problem& problem) : open_(problem.ranks), node_(problem.ranks) {
    for (int rank = 0; rank < problem.ranks; ++rank) {
      node_[rank] = rank / problem.cluster.ranks_per_node;
    }
    nodes_.resize(node_.back() + 1);
  }

  bool SameNode(int rank, int other) const { return node_[rank] == node_[other]; }

  // Adds (sign 1) or takes back (sign -1) the rows that the segments of a document make their ranks
  // exchange. `ranks` holds a Traffic for each rank (TrafficOf) and counts messages: it learns when
  // a rank begins and ends to need rows (Open, Close), and when rows of an owner go to all ranks
  // that need them at that time (Send, with the number of rows).
  template <typename Ranks>
  void Run(const Document& document, const std::vector<Segment>& segments, int sign, Ranks& ranks) {
    keys_.clear();
    for (const Segment& segment : segments) {
      keys_.push_back(KeysNeeded(document, segment.begin, segment.end));
    }
    size_t opened = 0;
    size_t closed = 0;
    for (const Segment& owner : segments) {
      for (int64_t position = owner.begin; position < owner.end;) {
        while (opened < keys_.size() && keys_[opened].begin <= position) {
          Open(segments[opened++].rank, position, sign, ranks);
        }
        while (closed < opened && keys_[closed].end <= position) {
          Close(segments[closed++].rank, position, sign, ranks);
        }
        int64_t next = owner.end;
        if (closed < opened) next = std::min(next, keys_[closed].end);
        if (opened < keys_.size()) next = std::min(next, keys_[opened].begin);
        Send(owner.rank, next - position, sign, ranks);
        position = next;
      }
    }
    while (closed < opened) Close(segments[closed++].rank, document.length, sign, ranks);
    for (const Segment& segment : segments) nodes_[node_[segment.rank]] = Node();
  }

 private:
  // A node, over the positions of the document so far.
  struct Node {
    int64_t open = 0;          // ranks with an open interval
    int64_t owned = 0;         // rows that the node owns
    int64_t foreign_seen = 0;  // rows of other nodes that `shares` covers
    double shares = 0;         // of each rank that had an interval open all the time
  };

  template <typename Ranks>
  void Open(int rank, int64_t position, int sign, Ranks& ranks) {
    if (open_[rank]++ > 0) return;
    ranks.Open(rank);
    Node& node = nodes_[node_[rank]];
    Share(node, position);
    open_nodes_ += node.open == 0;
    node.open += 1;
    Account(node, position, -sign, ranks.TrafficOf(rank));
  }

  template <typename Ranks>
  void Close(int rank, int64_t position, int sign, Ranks& ranks) {
    if (--open_[rank] > 0) return;
    ranks.Close(rank);
    Node& node = nodes_[node_[rank]];
    Share(node, position);
    Account(node, position, sign, ranks.TrafficOf(rank));
    node.open -= 1;
    open_nodes_ -= node.open == 0;
  }

  // Shares the rows of other nodes since the last change of the node's needing ranks among these:
  // each receives an even share between nodes and passes it on to the others.
  static void Share(Node& node, int64_t position) {
    const int64_t foreign = position - node.owned;
    if (node.open > 0) {
      node.shares += static_cast<double>(foreign - node.foreign_seen) / node.open;
    }
    node.foreign_seen = foreign;
  }

  // Adds what a rank with an interval open from the start would have exchanged so far.
  static void Account(const Node& node, int64_t position, int sign, Traffic& traffic) {
    traffic.in_node.received += sign * (position - node.shares);
    traffic.between_nodes.received += sign * node.shares;
    traffic.in_node.sent += sign * (position - node.owned - node.shares);
  }

  // Sends the owner's next `rows` rows to all other ranks that need them now.
  template <typename Ranks>
  void Send(int owner, int64_t rows, int sign, Ranks& ranks) {
    Node& node = nodes_[node_[owner]];
    Traffic& traffic = ranks.TrafficOf(owner);
    const bool needs = open_[owner] > 0;
    traffic.in_node.sent += sign * rows * (node.open - needs);
    traffic.between_nodes.sent += sign * rows * (open_nodes_ - (node.open > 0));
    traffic.in_node.received -= sign * rows * needs;
    node.owned += rows;
    ranks.Send(owner, rows);
  }

  std::vector<int> open_;  // open intervals of each rank
  std::vector<int> node_;  // of each rank
  std::vector<Node> nodes_;
  int64_t open_nodes_ = 0;        // nodes with a rank that needs rows
  std::vector<TokenRange> keys_;  // of each segment
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_ROW_SWEEP_H_

// Decides which rows and messages the ranks of a placement exchange.
//
// Idea for exchange `needed`: each segment needs an interval of keys (KeysNeeded). Both ends of
// these intervals rise from segment to segment, so one sweep over the positions of a document meets
// every opening and closing in order; between two of them, a fixed set of ranks needs the rows that
// the owner of the position holds.

#include "compiler/solver/traffic.h"

#include <algorithm>
#include <utility>

namespace flashcp::solver {
namespace {

int Node(const Problem& problem, int rank) { return rank / problem.cluster.ranks_per_node; }

// A set of ranks for each rank, as bits.
class RankSets {
 public:
  explicit RankSets(int ranks)
      : words_((ranks + 63) / 64), bits_(static_cast<size_t>(ranks) * words_) {}

  int words() const { return words_; }
  uint64_t* of(int rank) { return &bits_[static_cast<size_t>(rank) * words_]; }

 private:
  int words_;
  std::vector<uint64_t> bits_;
};

// Exchange `needed`, document by document. Sums over the sweep so far (rows owned by each node, and
// shares that each of its needing ranks would have received) make an interval's traffic the
// difference between its two ends.
class NeededSweep {
 public:
  explicit NeededSweep(const Problem& problem)
      : traffic_(problem.ranks),
        open_(problem.ranks),
        node_(problem.ranks),
        nodes_(Node(problem, problem.ranks - 1) + 1),
        destinations_(problem.ranks),
        needing_(destinations_.words()) {
    for (int rank = 0; rank < problem.ranks; ++rank) node_[rank] = Node(problem, rank);
  }

  void Add(const Document& document, const std::vector<Segment>& segments) {
    if (segments.size() < 2) return;
    keys_.clear();
    for (const Segment& segment : segments) {
      keys_.push_back(KeysNeeded(document, segment.begin, segment.end));
    }
    size_t opened = 0;
    size_t closed = 0;
    for (const Segment& owner : segments) {
      for (int64_t position = owner.begin; position < owner.end;) {
        while (opened < keys_.size() && keys_[opened].begin <= position) {
          Open(segments[opened++].rank, position);
        }
        while (keys_[closed].end <= position) Close(segments[closed++].rank, position);
        int64_t next = std::min(owner.end, keys_[closed].end);
        if (opened < keys_.size()) next = std::min(next, keys_[opened].begin);
        Send(owner.rank, next - position);
        position = next;
      }
    }
    while (closed < segments.size()) Close(segments[closed++].rank, document.length);
    for (const Segment& segment : segments) nodes_[node_[segment.rank]] = NodeSums();
  }

  // Counts messages; call once, behind the last document.
  std::vector<Traffic> Finish() {
    for (size_t from = 0; from < traffic_.size(); ++from) {
      const uint64_t* destinations = destinations_.of(from);
      for (size_t word = 0; word < needing_.size(); ++word) {
        for (uint64_t bits = destinations[word]; bits != 0; bits &= bits - 1) {
          size_t to = 64 * word + __builtin_ctzll(bits);
          if (to != from) CountMessage(from, to);
        }
      }
    }
    return std::move(traffic_);
  }

 private:
  // Of one node, over the positions of the document so far.
  struct NodeSums {
    int64_t open = 0;          // ranks with an open interval
    int64_t owned = 0;         // rows that the node owns
    int64_t foreign_seen = 0;  // rows of other nodes that `shares` covers
    double shares = 0;         // of each rank that had an interval open all the time
  };

  // What a rank with an interval open from the start would have exchanged so far, with sign.
  void Account(int rank, int64_t position, int sign) {
    const NodeSums& node = nodes_[node_[rank]];
    const int64_t foreign = position - node.owned;
    Traffic& traffic = traffic_[rank];
    traffic.received += sign * position;
    traffic.in_node.received += sign * (position - node.shares);
    traffic.between_nodes.received += sign * node.shares;
    traffic.in_node.sent += sign * (foreign - node.shares);
  }

  void Open(int rank, int64_t position) {
    if (open_[rank]++ > 0) return;
    needing_[rank / 64] |= uint64_t{1} << (rank % 64);
    NodeSums& node = nodes_[node_[rank]];
    Advance(node, position);
    open_nodes_ += node.open == 0;
    node.open += 1;
    Account(rank, position, -1);
  }

  void Close(int rank, int64_t position) {
    if (--open_[rank] > 0) return;
    needing_[rank / 64] &= ~(uint64_t{1} << (rank % 64));
    NodeSums& node = nodes_[node_[rank]];
    Advance(node, position);
    Account(rank, position, +1);
    node.open -= 1;
    open_nodes_ -= node.open == 0;
  }

  // Shares the rows of other nodes since the last change of the node's needing ranks among these.
  void Advance(NodeSums& node, int64_t position) {
    int64_t foreign = position - node.owned;
    if (node.open > 0) {
      node.shares += static_cast<double>(foreign - node.foreign_seen) / node.open;
    }
    node.foreign_seen = foreign;
  }

  // The owner's next `rows` rows go to all ranks that need them now. It is one of these: a mask
  // shows every query its own key.
  void Send(int owner, int64_t rows) {
    NodeSums& node = nodes_[node_[owner]];
    Traffic& traffic = traffic_[owner];
    traffic.in_node.sent += rows * (node.open - 1);
    traffic.between_nodes.sent += rows * (open_nodes_ - 1);
    traffic.received -= rows;
    traffic.in_node.received -= rows;
    node.owned += rows;
    uint64_t* destinations = destinations_.of(owner);
    for (size_t word = 0; word < needing_.size(); ++word) destinations[word] |= needing_[word];
  }

  void CountMessage(int from, int to) {
    bool in_node = node_[from] == node_[to];
    Traffic& source = traffic_[from];
    Traffic& destination = traffic_[to];
    (in_node ? source.in_node : source.between_nodes).destinations += 1;
    (in_node ? destination.in_node : destination.between_nodes).sources += 1;
  }

  std::vector<Traffic> traffic_;
  std::vector<int> open_;  // open intervals of each rank
  std::vector<int> node_;  // of each rank
  std::vector<NodeSums> nodes_;
  RankSets destinations_;
  std::vector<uint64_t> needing_;  // ranks with an open interval, as bits
  int64_t open_nodes_ = 0;         // nodes with such ranks
  std::vector<KeyRange> keys_;     // of each segment of the document at hand
};

std::vector<Traffic> NeededTraffic(const Problem& problem, const Placement& placement) {
  NeededSweep sweep(problem);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    sweep.Add(problem.documents[d], placement.documents[d]);
  }
  return sweep.Finish();
}

// Every row goes to every rank that does not own it.
std::vector<Traffic> AllGatherTraffic(const Problem& problem, const std::vector<int64_t>& tokens) {
  struct Owners {
    int64_t ranks = 0;
    int64_t tokens = 0;
    int64_t owners = 0;  // ranks with tokens
  };
  Owners all;
  std::vector<Owners> nodes(Node(problem, problem.ranks - 1) + 1);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    for (Owners* group : {&all, &nodes[Node(problem, rank)]}) {
      group->ranks += 1;
      group->tokens += tokens[rank];
      group->owners += tokens[rank] > 0;
    }
  }
  const int64_t num_nodes = nodes.size();
  std::vector<Traffic> traffic(problem.ranks);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    const Owners& node = nodes[Node(problem, rank)];
    const int64_t own = tokens[rank];
    const double share = static_cast<double>(all.tokens - node.tokens) / node.ranks;
    Traffic& to = traffic[rank];
    to.received = all.tokens - own;
    to.between_nodes.received = share;
    to.in_node.received = to.received - share;
    to.between_nodes.sent = own * (num_nodes - 1);
    to.in_node.sent = (own + share) * (node.ranks - 1);
    to.in_node.sources = node.owners - (own > 0);
    to.between_nodes.sources = all.owners - node.owners;
    to.in_node.destinations = own > 0 ? node.ranks - 1 : 0;
    to.between_nodes.destinations = own > 0 ? all.ranks - node.ranks : 0;
  }
  return traffic;
}

}  // namespace

std::vector<Traffic> ForwardTraffic(const Problem& problem, const Placement& placement) {
  if (problem.exchange == Exchange::kNeeded) return NeededTraffic(problem, placement);
  return AllGatherTraffic(problem, placement.TokensPerRank(problem.ranks));
}

}  // namespace flashcp::solver

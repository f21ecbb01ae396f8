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

// Exchange `needed`, document by document.
class NeededSweep {
 public:
  explicit NeededSweep(const Problem& problem)
      : traffic_(problem.ranks),
        open_(problem.ranks),
        node_(problem.ranks),
        destinations_(problem.ranks),
        needing_(destinations_.words()) {
    for (int rank = 0; rank < problem.ranks; ++rank) node_[rank] = Node(problem, rank);
    open_in_node_.resize(node_.back() + 1);
    tokens_in_node_.resize(node_.back() + 1);
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
    for (const Segment& segment : segments) tokens_in_node_[node_[segment.rank]] = 0;
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
  // The rank needs the rows from `position` on: what was owned before does not count.
  void Open(int rank, int64_t position) {
    if (open_[rank]++ > 0) return;
    needing_[rank / 64] |= uint64_t{1} << (rank % 64);
    num_open_ += 1;
    open_in_node_[node_[rank]] += 1;
    traffic_[rank].received -= position;
    traffic_[rank].received_in_node -= tokens_in_node_[node_[rank]];
  }

  void Close(int rank, int64_t position) {
    if (--open_[rank] > 0) return;
    needing_[rank / 64] &= ~(uint64_t{1} << (rank % 64));
    num_open_ -= 1;
    open_in_node_[node_[rank]] -= 1;
    traffic_[rank].received += position;
    traffic_[rank].received_in_node += tokens_in_node_[node_[rank]];
  }

  // The owner's next `rows` rows go to all ranks that need them now. It is one of these: a mask
  // shows every query its own key.
  void Send(int owner, int64_t rows) {
    Traffic& traffic = traffic_[owner];
    traffic.sent += rows * (num_open_ - 1);
    traffic.sent_in_node += rows * (open_in_node_[node_[owner]] - 1);
    traffic.received -= rows;
    traffic.received_in_node -= rows;
    tokens_in_node_[node_[owner]] += rows;
    uint64_t* destinations = destinations_.of(owner);
    for (size_t word = 0; word < needing_.size(); ++word) destinations[word] |= needing_[word];
  }

  void CountMessage(int from, int to) {
    bool in_node = node_[from] == node_[to];
    traffic_[from].destinations += 1;
    traffic_[from].destinations_in_node += in_node;
    traffic_[to].sources += 1;
    traffic_[to].sources_in_node += in_node;
  }

  std::vector<Traffic> traffic_;
  std::vector<int> open_;  // open intervals of each rank
  std::vector<int> node_;  // of each rank
  RankSets destinations_;
  std::vector<uint64_t> needing_;  // ranks with an open interval, as bits
  int64_t num_open_ = 0;           // ranks with an open interval
  std::vector<int64_t> open_in_node_;
  std::vector<int64_t> tokens_in_node_;  // owned by each node, up to the position of the sweep
  std::vector<KeyRange> keys_;           // of each segment of the document at hand
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
  std::vector<Traffic> traffic(problem.ranks);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    const Owners& node = nodes[Node(problem, rank)];
    int64_t own = tokens[rank];
    traffic[rank].received = all.tokens - own;
    traffic[rank].received_in_node = node.tokens - own;
    traffic[rank].sent = own * (all.ranks - 1);
    traffic[rank].sent_in_node = own * (node.ranks - 1);
    traffic[rank].sources = all.owners - (own > 0);
    traffic[rank].sources_in_node = node.owners - (own > 0);
    traffic[rank].destinations = own > 0 ? all.ranks - 1 : 0;
    traffic[rank].destinations_in_node = own > 0 ? node.ranks - 1 : 0;
  }
  return traffic;
}

}  // namespace

std::vector<Traffic> ForwardTraffic(const Problem& problem, const Placement& placement) {
  if (problem.exchange == Exchange::kNeeded) return NeededTraffic(problem, placement);
  return AllGatherTraffic(problem, placement.TokensPerRank(problem.ranks));
}

}  // namespace flashcp::solver

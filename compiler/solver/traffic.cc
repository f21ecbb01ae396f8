// Adds up which rows and messages the ranks of a placement exchange.

#include "compiler/solver/traffic.h"

#include <utility>

#include "compiler/solver/row_sweep.h"

namespace flashcp::solver {
namespace {

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

// The traffic of all ranks during a sweep: each message counts once, however many rows it carries.
class SweptRanks {
 public:
  explicit SweptRanks(int ranks)
      : traffic_(ranks), destinations_(ranks), needing_(destinations_.words()) {}

  Traffic& TrafficOf(int rank) { return traffic_[rank]; }
  void Open(int rank) { needing_[rank / 64] |= uint64_t{1} << (rank % 64); }
  void Close(int rank) { needing_[rank / 64] &= ~(uint64_t{1} << (rank % 64)); }
  void Send(int owner, int64_t) {
    uint64_t* destinations = destinations_.of(owner);
    for (size_t word = 0; word < needing_.size(); ++word) destinations[word] |= needing_[word];
  }

  // Counts messages; call once, after the last document.
  std::vector<Traffic> Finish(const RowSweep& sweep) {
    for (size_t from = 0; from < traffic_.size(); ++from) {
      const uint64_t* destinations = destinations_.of(from);
      for (size_t word = 0; word < needing_.size(); ++word) {
        for (uint64_t bits = destinations[word]; bits != 0; bits &= bits - 1) {
          const size_t to = 64 * word + __builtin_ctzll(bits);
          if (to == from) continue;
          const bool in_node = sweep.SameNode(from, to);
          traffic_[from].Link(in_node).destinations += 1;
          traffic_[to].Link(in_node).sources += 1;
        }
      }
    }
    return std::move(traffic_);
  }

 private:
  std::vector<Traffic> traffic_;
  RankSets destinations_;
  std::vector<uint64_t> needing_;  // ranks that need rows now, as bits
};

std::vector<Traffic> NeededTraffic(const Problem& problem, const Placement& placement) {
  RowSweep sweep(problem);
  SweptRanks ranks(problem.ranks);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    const std::vector<Segment>& segments = placement.documents[d];
    if (segments.size() > 1) sweep.Run(problem.documents[d], segments, /*sign=*/1, ranks);
  }
  return ranks.Finish(sweep);
}

int Node(const Problem& problem, int rank) { return rank / problem.cluster.ranks_per_node; }

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
    to.between_nodes.received = share;
    to.in_node.received = all.tokens - own - share;
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

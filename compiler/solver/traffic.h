// Traffic: the rows and messages that the ranks of a placement exchange, and their time. Part of
// the cost model.
//
// A row that crosses nodes does so once for each node that needs it: the ranks of that node that
// need it each receive an even share over the network and pass it on inside the node. The owner
// sends a row once into every other node, and once to each rank of its own.

#ifndef FLASHCP_COMPILER_SOLVER_TRAFFIC_H_
#define FLASHCP_COMPILER_SOLVER_TRAFFIC_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Forward traffic of one rank over one class of links. Shares of rows are fractions.
struct LinkTraffic {
  double received = 0;       // K/V rows
  double sent = 0;           // K/V rows, with those it passes on
  int64_t sources = 0;       // owners over this link of rows that the rank needs
  int64_t destinations = 0;  // ranks over this link that need rows of this one
};

struct Traffic {
  LinkTraffic in_node;
  LinkTraffic between_nodes;

  LinkTraffic& Link(bool inside) { return inside ? in_node : between_nodes; }
};

// One entry for each rank. O(segments * (1 + ranks / 64) + pairs of ranks that exchange rows).
std::vector<Traffic> ForwardTraffic(const Problem& problem, const Placement& placement);

struct TransferTime {
  double forward_us = 0;
  double backward_us = 0;
};

// Both classes of links work at once, each in both directions; a message costs latency. Backward
// sends K/V again and dK/dV the other way. A message between nodes serves a whole node, so a rank
// pays its node's share of the latency.
class TransferModel {
 public:
  explicit TransferModel(const Problem& problem)
      : in_node_(problem.cluster.intra_node),
        between_nodes_(problem.cluster.inter_node),
        row_bytes_(static_cast<double>(problem.KeyValueBytesPerToken())) {
    between_nodes_.latency_us /= std::min(problem.ranks, problem.cluster.ranks_per_node);
  }

  TransferTime Time(const Traffic& traffic) const {
    const LinkTraffic& in_node = traffic.in_node;
    const LinkTraffic& between_nodes = traffic.between_nodes;
    const double sources_us =
        in_node_.latency_us * in_node.sources + between_nodes_.latency_us * between_nodes.sources;
    const double destinations_us = in_node_.latency_us * in_node.destinations +
                                   between_nodes_.latency_us * between_nodes.destinations;
    TransferTime time;
    time.forward_us =
        std::max(BytesUs(in_node_, std::max(in_node.received, in_node.sent)),
                 BytesUs(between_nodes_, std::max(between_nodes.received, between_nodes.sent))) +
        sources_us;
    time.backward_us =
        std::max(BytesUs(in_node_, in_node.received + in_node.sent),
                 BytesUs(between_nodes_, between_nodes.received + between_nodes.sent)) +
        sources_us + destinations_us;
    return time;
  }

 private:
  double BytesUs(const LinkClass& link, double rows) const {
    return rows * row_bytes_ / link.bytes_per_us;
  }

  LinkClass in_node_;
  LinkClass between_nodes_;
  double row_bytes_;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_TRAFFIC_H_

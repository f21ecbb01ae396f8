// Which rows and messages the ranks of a placement exchange. Part of the cost model.

#ifndef FLASHCP_COMPILER_SOLVER_TRAFFIC_H_
#define FLASHCP_COMPILER_SOLVER_TRAFFIC_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// What one rank exchanges in forward: K/V rows, ranks it receives from and ranks it sends to, all
// of them and those inside its node.
struct Traffic {
  int64_t received = 0;
  int64_t received_in_node = 0;
  int64_t sent = 0;
  int64_t sent_in_node = 0;
  int64_t sources = 0;
  int64_t sources_in_node = 0;
  int64_t destinations = 0;
  int64_t destinations_in_node = 0;
};

// One entry for each rank. O(segments * (1 + ranks / 64) + pairs of ranks that exchange rows).
std::vector<Traffic> ForwardTraffic(const Problem& problem, const Placement& placement);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_TRAFFIC_H_

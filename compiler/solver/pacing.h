// Deals a rank's local work between its stages, so that all ranks advance together: a rank that
// does all of it first would hold up those that wait for the buffers of its stages.

#ifndef FLASHCP_COMPILER_SOLVER_PACING_H_
#define FLASHCP_COMPILER_SOLVER_PACING_H_

#include <vector>

namespace flashcp::solver {

// Returns how much of its `local` work a rank does before each of n stages of remote work; the rest
// comes behind them. After stage k it has done (k + 1) / (n + 1) of all its work, as far as local
// work can even that. But 1 / (n + 1) of the local work at least comes before the first stage,
// while its rows arrive, and as much behind the last, while its gradients leave.
std::vector<double> PacedWork(double local, const std::vector<double>& stages);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_PACING_H_

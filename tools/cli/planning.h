// The way from planning flags to requests.

#ifndef FLASHCP_TOOLS_CLI_PLANNING_H_
#define FLASHCP_TOOLS_CLI_PLANNING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/input/request.h"
#include "compiler/solver/problem.h"
#include "tools/cli/arguments.h"

namespace flashcp::cli {

// Returns one request for each batch that the flags pick, in the order of LENGTHS; each passes
// Check(). InvalidArgument or NotFound, naming file and line or flag.
absl::StatusOr<std::vector<CompileRequest>> MakeRequests(const PlanningFlags& flags);

// Returns a note for a preset that is planned for another number of ranks than its own, if either
// spans several nodes: the number of nodes that this makes. Empty for any other problem.
std::string NodesNote(const solver::Problem& problem);

// Returns the limit that a request plans within, and where it is from: "limit 7629 MiB, a tenth of
// the memory of h100x8".
std::string WorkspaceLimitText(const CompileRequest& request);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_PLANNING_H_

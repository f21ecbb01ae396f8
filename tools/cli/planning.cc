// Picks batches out of LENGTHS, and compares the ranks of a plan with those of its cluster.

#include "tools/cli/planning.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/input/batch_options.h"
#include "model/cluster.h"
#include "support/flags.h"
#include "support/mebibytes.h"
#include "support/status_macros.h"

namespace flashcp::cli {

absl::StatusOr<std::vector<CompileRequest>> MakeRequests(const PlanningFlags& flags) {
  ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("--", flags.options));
  ASSIGN_OR_RETURN(std::vector<CompileRequest> requests, ReadRequests(flags.lengths, settings));
  if (!flags.batch.empty()) {
    ASSIGN_OR_RETURN(int64_t batch, IntegerFlag("--batch", flags.batch,
                                                {0, static_cast<int64_t>(requests.size()) - 1}));
    requests = {std::move(requests[batch])};
  }
  return requests;
}

std::string NodesNote(const solver::Problem& problem) {
  const model::Cluster& cluster = problem.cluster;
  const int node = cluster.ranks_per_node;
  bool preset = model::ClusterPreset(cluster.name).ok();
  bool one_node = std::max(problem.ranks, cluster.ranks) <= node;
  if (!preset || one_node || problem.ranks == cluster.ranks) return "";
  int nodes = (problem.ranks + node - 1) / node;
  int last = problem.ranks - (nodes - 1) * node;
  return absl::StrCat("--ranks ", problem.ranks, ": cluster ", cluster.name, " has ", cluster.ranks,
                      " ranks; this plans for ", nodes, nodes == 1 ? " node of " : " nodes of ",
                      node, last < node ? absl::StrCat(", ", last, " ranks on the last") : "");
}

std::string WorkspaceLimitText(const CompileRequest& request) {
  const model::Cluster& cluster = request.problem.cluster;
  if (request.WorkspaceLimitBytes() == 0) return "no limit";
  const std::string limit = absl::StrCat("limit ", FormatBytes(request.WorkspaceLimitBytes()));
  if (request.workspace_limit_bytes) return limit;
  return absl::StrCat(limit, cluster.memory_bytes > 0
                                 ? absl::StrCat(", a tenth of the memory of ", cluster.name)
                                 : absl::StrCat(", as ", cluster.name, " names no memory"));
}

}  // namespace flashcp::cli

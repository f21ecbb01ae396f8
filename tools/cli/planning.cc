// Picks batches out of LENGTHS, and compares the ranks of a plan with those of its cluster.

#include "tools/cli/planning.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/input/batch_options.h"
#include "compiler/input/lengths.h"
#include "model/cluster.h"
#include "support/flags.h"
#include "support/mebibytes.h"
#include "support/status_macros.h"

namespace flashcp::cli {
namespace {

// Reads the batches that --batch picks; those of the layout's plan if there are no LENGTHS.
absl::StatusOr<std::vector<Batch>> ReadBatches(const PlanningFlags& flags,
                                               const BatchSettings& settings) {
  if (flags.lengths.empty()) return std::vector<Batch>{DocumentsOfLayout(settings)};
  ASSIGN_OR_RETURN(std::vector<Batch> batches, ReadLengths(flags.lengths, settings.mask));
  if (flags.batch.empty()) return batches;
  ASSIGN_OR_RETURN(int64_t batch, IntegerFlag("--batch", flags.batch,
                                              {0, static_cast<int64_t>(batches.size()) - 1}));
  return std::vector<Batch>{std::move(batches[batch])};
}

}  // namespace

absl::StatusOr<std::vector<CompileRequest>> MakeRequests(const PlanningFlags& flags) {
  ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("--", flags.options));
  ASSIGN_OR_RETURN(std::vector<Batch> batches, ReadBatches(flags, settings));
  std::vector<CompileRequest> requests;
  for (Batch& batch : batches) {
    ASSIGN_OR_RETURN(CompileRequest request, MakeRequest(settings, std::move(batch)));
    requests.push_back(std::move(request));
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

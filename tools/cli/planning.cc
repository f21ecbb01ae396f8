#include "tools/cli/planning.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "compiler/input/batch_options.h"
#include "compiler/solver/cluster.h"
#include "support/flags.h"
#include "support/status_macros.h"

namespace flashcp::cli {
namespace {

solver::LinkClass LinkOf(const fbs::LinkClass& link) {
  return {link.bytes_per_us(), link.latency_us()};
}

template <typename To, typename From>
std::vector<To> VectorOf(absl::Span<const From> items) {
  return std::vector<To>(items.begin(), items.end());
}

solver::Cluster ClusterOf(const fbs::Cluster& cluster) {
  solver::Cluster result;
  result.name = cluster.name()->str();
  result.ranks_per_node = cluster.ranks_per_node();
  if (cluster.intra_node() != nullptr) result.intra_node = LinkOf(*cluster.intra_node());
  if (cluster.inter_node() != nullptr) result.inter_node = LinkOf(*cluster.inter_node());
  const fbs::TileTable& tiles = *cluster.tiles();
  result.tiles.block_rows = tiles.block_rows();
  result.tiles.block_columns = tiles.block_columns();
  result.tiles.columns = VectorOf<int>(Items(tiles.columns()));
  result.tiles.forward_us = VectorOf<double>(Items(tiles.forward_us()));
  result.tiles.backward_us = VectorOf<double>(Items(tiles.backward_us()));
  return result;
}

}  // namespace

absl::StatusOr<std::vector<CompileRequest>> MakeRequests(const PlanningFlags& flags) {
  ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("--", flags.options));
  ASSIGN_OR_RETURN(std::vector<CompileRequest> requests, ReadRequests(flags.lengths, settings));
  if (!flags.batch.empty()) {
    ASSIGN_OR_RETURN(int64_t batch, IntegerFlag("--batch", flags.batch, 0, requests.size() - 1));
    requests = {std::move(requests[batch])};
  }
  return requests;
}

std::string NodesNote(const solver::Problem& problem) {
  const solver::Cluster& cluster = problem.cluster;
  const int node = cluster.ranks_per_node;
  bool preset = solver::ClusterPreset(cluster.name).ok();
  bool one_node = std::max(problem.ranks, cluster.ranks) <= node;
  if (!preset || one_node || problem.ranks == cluster.ranks) return "";
  int nodes = (problem.ranks + node - 1) / node;
  int last = problem.ranks - (nodes - 1) * node;
  return absl::StrCat("--ranks ", problem.ranks, ": cluster ", cluster.name, " has ", cluster.ranks,
                      " ranks; this plans for ", nodes, nodes == 1 ? " node of " : " nodes of ",
                      node, last < node ? absl::StrCat(", ", last, " ranks on the last") : "");
}

CompileRequest RequestOf(const Plan& plan) {
  CompileRequest request;
  request.time_budget_ms = plan->time_budget_ms();
  request.memory_budget_bytes = static_cast<int64_t>(plan->memory_budget_bytes());
  request.strategy = plan->strategy()->str();
  solver::Problem& problem = request.problem;
  problem.ranks = plan.num_ranks();
  problem.heads = {static_cast<int>(plan->heads()->query()),
                   static_cast<int>(plan->heads()->key_value()),
                   static_cast<int>(plan->heads()->dim())};
  problem.dtype = static_cast<solver::DType>(plan->dtype());
  problem.exchange = static_cast<solver::Exchange>(plan->exchange());
  problem.slack_percent = plan->slack_percent();
  problem.cluster = ClusterOf(*plan->cluster());
  for (const fbs::Document& document : Items(plan->documents())) {
    auto kind = static_cast<solver::MaskKind>(document.mask());
    problem.documents.push_back({document.length(), {kind, document.window()}});
  }
  return request;
}

TimedCompiler::TimedCompiler() {
  CompileRequest tiny;
  tiny.problem.documents = {{1, {}}};
  tiny.problem.ranks = 1;
  tiny.problem.cluster = *solver::ClusterPreset("cpu");
  tiny.strategy = "contiguous";
  compiler_.Compile(tiny).IgnoreError();
}

absl::StatusOr<TimedPlan> TimedCompiler::Compile(const CompileRequest& request) {
  auto start = std::chrono::steady_clock::now();
  std::vector<StepTime> steps;
  ASSIGN_OR_RETURN(Plan plan, compiler_.Compile(request, &steps));
  std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  return TimedPlan{std::move(plan), elapsed.count(), std::move(steps)};
}

}  // namespace flashcp::cli

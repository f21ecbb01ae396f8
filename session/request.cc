// Reads the header of the plan back into the compiler's terms.

#include "session/request.h"

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace flashcp::session {
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

}  // namespace flashcp::session

// Moves whole rows of every tensor by the plan's layout.

#include "session/rank_tensors.h"

#include <cstdint>

#include "runtime/layout.h"

namespace flashcp::session {

RankTensors MakeRankTensors(const Plan& plan, int rank, bool backward) {
  RowBytes row = RowBytesOf(plan);
  int64_t tokens = RankTokens(plan, rank);
  RankTensors local;
  local.query.resize(tokens * row.query);
  local.key.resize(tokens * row.key_value);
  local.value.resize(tokens * row.key_value);
  local.output.resize(tokens * row.query);
  local.lse.resize(tokens * row.lse);
  local.saved.resize(plan->ranks()->Get(rank)->saved_bytes());
  if (!backward) return local;
  local.output_gradient.resize(local.query.size());
  local.query_gradient.resize(local.query.size());
  local.key_gradient.resize(local.key.size());
  local.value_gradient.resize(local.key.size());
  return local;
}

void ScatterBatch(const Plan& plan, int rank, const BatchTensors& batch, RankTensors* local) {
  RowBytes row = RowBytesOf(plan);
  ScatterRows(plan, rank, row.query, batch.query.data(), local->query.data());
  ScatterRows(plan, rank, row.key_value, batch.key.data(), local->key.data());
  ScatterRows(plan, rank, row.key_value, batch.value.data(), local->value.data());
  if (local->output_gradient.empty()) return;
  ScatterRows(plan, rank, row.query, batch.output_gradient.data(), local->output_gradient.data());
}

void GatherBatch(const Plan& plan, int rank, const RankTensors& local, BatchTensors* batch) {
  RowBytes row = RowBytesOf(plan);
  GatherRows(plan, rank, row.query, local.output.data(), &batch->output[0]);
  GatherRows(plan, rank, row.lse, local.lse.data(), &batch->lse[0]);
  if (local.query_gradient.empty()) return;
  GatherRows(plan, rank, row.query, local.query_gradient.data(), &batch->query_gradient[0]);
  GatherRows(plan, rank, row.key_value, local.key_gradient.data(), &batch->key_gradient[0]);
  GatherRows(plan, rank, row.key_value, local.value_gradient.data(), &batch->value_gradient[0]);
}

}  // namespace flashcp::session

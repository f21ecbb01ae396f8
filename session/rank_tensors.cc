// Moves whole rows of every tensor by the plan's layout.

#include "session/rank_tensors.h"

#include <cstdint>

#include "runtime/layout.h"
#include "support/status_macros.h"

namespace flashcp::session {

absl::StatusOr<RankTensors> MakeRankTensors(const Plan& plan, int rank, bool backward) {
  const RowBytes row = RowBytesOf(plan);
  ASSIGN_OR_RETURN(const int64_t tokens, RankTokens(plan, rank));
  ASSIGN_OR_RETURN(const RankMemory memory, RankMemoryOf(plan, rank));
  RankTensors local;
  local.query.resize(tokens * row.query);
  local.key.resize(tokens * row.key_value);
  local.value.resize(tokens * row.key_value);
  local.output.resize(tokens * row.query);
  local.lse.resize(tokens * row.lse);
  local.saved.resize(memory.saved);
  if (!backward) return local;
  local.output_gradient.resize(local.query.size());
  local.query_gradient.resize(local.query.size());
  local.key_gradient.resize(local.key.size());
  local.value_gradient.resize(local.key.size());
  return local;
}

absl::Status ScatterBatch(const Plan& plan, int rank, const BatchTensors& batch,
                          RankTensors* local) {
  const RowBytes row = RowBytesOf(plan);
  RETURN_IF_ERROR(ScatterRows(plan, rank, row.query, batch.query, local->query));
  RETURN_IF_ERROR(ScatterRows(plan, rank, row.key_value, batch.key, local->key));
  RETURN_IF_ERROR(ScatterRows(plan, rank, row.key_value, batch.value, local->value));
  if (local->output_gradient.empty()) return absl::OkStatus();
  return ScatterRows(plan, rank, row.query, batch.output_gradient, local->output_gradient);
}

absl::Status GatherBatch(const Plan& plan, int rank, const RankTensors& local,
                         BatchTensors* batch) {
  const RowBytes row = RowBytesOf(plan);
  RETURN_IF_ERROR(GatherRows(plan, rank, row.query, local.output, batch->output));
  RETURN_IF_ERROR(GatherRows(plan, rank, row.lse, local.lse, batch->lse));
  if (local.query_gradient.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(GatherRows(plan, rank, row.query, local.query_gradient, batch->query_gradient));
  RETURN_IF_ERROR(GatherRows(plan, rank, row.key_value, local.key_gradient, batch->key_gradient));
  return GatherRows(plan, rank, row.key_value, local.value_gradient, batch->value_gradient);
}

}  // namespace flashcp::session

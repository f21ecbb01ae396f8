// Counts the tensors of the batch on the leading process, and tensors and workspace of each rank.

#include "session/memory.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/layout.h"
#include "session/tensors.h"
#include "support/free_memory.h"
#include "support/mebibytes.h"

namespace flashcp::session {
namespace {

// Returns the bytes of the tensors of `tokens` tokens, as BatchTensors and RankTensors hold them.
uint64_t TensorBytes(const Plan& plan, uint64_t tokens, bool backward) {
  const RowBytes row = RowBytesOf(plan);
  const uint64_t pass = 2 * (row.query + row.key_value);  // Q and O, K and V; their gradients
  return tokens * ((backward ? 2 : 1) * pass + row.lse);
}

uint64_t WorkspaceBytes(const fbs::RankPlan& rank, bool backward) {
  return std::max(rank.workspace_bytes(), backward ? rank.backward_workspace_bytes() : 0);
}

}  // namespace

absl::Status CheckMemory(const Plan& plan, bool backward, const Ranks& ranks) {
  const uint64_t batch = ranks.leads() ? TensorBytes(plan, TotalTokens(plan), backward) : 0;
  uint64_t needed = batch;
  uint64_t most = 0;
  int most_rank = 0;
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const bool holds = ranks.Holds(rank);
    if (!holds && !ranks.leads()) continue;
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
    uint64_t bytes = TensorBytes(plan, RankTokens(plan, rank), backward) + rank_plan.saved_bytes();
    if (holds) bytes += WorkspaceBytes(rank_plan, backward);  // else only sent and received
    needed += bytes;
    if (bytes > most) most = bytes, most_rank = rank;
  }
  const FreeMemory found = FindFreeMemory();
  if (needed <= found.bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("out of memory: ", FormatBytes(needed), " needed, ", FormatBytes(found.bytes),
                   " found (", found.limit, "); the tensors of the batch take ", FormatBytes(batch),
                   ", rank ", most_rank, " takes the most of the ranks, ", FormatBytes(most)));
}

}  // namespace flashcp::session

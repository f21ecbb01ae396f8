// Counts the tensors of the batch on the leading process, and tensors, workspace and kernels of
// each rank.

#include "session/memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/layout.h"
#include "session/tensors.h"
#include "support/free_memory.h"
#include "support/mebibytes.h"

namespace flashcp::session {
namespace {

constexpr uint64_t kMib = 1 << 20;

// Returns the bytes of the tensors of `tokens` tokens, as BatchTensors and RankTensors hold them.
uint64_t TensorBytes(const Plan& plan, uint64_t tokens, bool backward) {
  const RowBytes row = RowBytesOf(plan);
  const uint64_t pass = 2 * (row.query + row.key_value);  // Q and O, K and V; their gradients
  return tokens * ((backward ? 2 : 1) * pass + row.lse);
}

uint64_t WorkspaceBytes(const fbs::RankPlan& rank, bool backward) {
  return std::max(rank.workspace_bytes(), backward ? rank.backward_workspace_bytes() : 0);
}

// Returns which workspace limit leaves all ranks of this process within `found` bytes.
std::string LimitAdvice(const MemoryNeed& need, uint64_t found) {
  const uint64_t others = need.TotalBytes() - need.workspace_bytes;
  const uint64_t mib = others < found ? (found - others) / need.ranks / kMib : 0;
  if (mib == 0) return "no workspace limit makes it fit";
  return absl::StrCat("compile with a workspace limit of ", mib, " MiB to make it fit");
}

}  // namespace

std::string MemoryNeed::Text() const {
  return absl::StrCat(FormatBytes(TotalBytes()), ": tensors of the batch ", FormatMib(batch_bytes),
                      ", of ranks ", FormatMib(tensor_bytes), ", workspaces ",
                      FormatMib(workspace_bytes), ", kernels ", FormatMib(kernel_bytes));
}

MemoryNeed FindMemoryNeed(const Plan& plan, bool backward, const Ranks& ranks,
                          uint64_t kernel_bytes) {
  MemoryNeed need;
  if (ranks.leads()) need.batch_bytes = TensorBytes(plan, TotalTokens(plan), backward);
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const bool holds = ranks.Holds(rank);
    if (!holds && !ranks.leads()) continue;
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
    const uint64_t tensors =
        TensorBytes(plan, *RankTokens(plan, rank), backward) + rank_plan.saved_bytes();
    // Those of another process are only sent and received.
    const uint64_t workspace = holds ? WorkspaceBytes(rank_plan, backward) : 0;
    need.tensor_bytes += tensors;
    need.workspace_bytes += workspace;
    if (holds) ++need.ranks, need.kernel_bytes += kernel_bytes;
    if (tensors + workspace <= need.most_rank_bytes) continue;
    need.most_rank = rank;
    need.most_rank_bytes = tensors + workspace;
  }
  return need;
}

absl::Status CheckMemory(const MemoryNeed& need) {
  const FreeMemory found = FindFreeMemory();
  if (need.TotalBytes() <= found.bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "out of memory: ", FormatBytes(need.TotalBytes()), " needed, ", FormatBytes(found.bytes),
      " found (", found.limit, "); the tensors of the batch take ", FormatBytes(need.batch_bytes),
      ", rank ", need.most_rank, " takes the most of the ranks, ",
      FormatBytes(need.most_rank_bytes), "; ", LimitAdvice(need, found.bytes)));
}

}  // namespace flashcp::session

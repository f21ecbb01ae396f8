// The memory that a run needs, known before it takes any.

#ifndef FLASHCP_SESSION_MEMORY_H_
#define FLASHCP_SESSION_MEMORY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "runtime/plan/plan.h"
#include "session/ranks.h"

namespace flashcp::session {

// What a run takes in this process, in bytes.
struct MemoryNeed {
  int ranks = 0;              // that compute in this process
  uint64_t batch_bytes = 0;   // tensors of the batch, on the leading process
  uint64_t tensor_bytes = 0;  // rows of ranks, and what forward saves for backward
  uint64_t workspace_bytes = 0;
  uint64_t kernel_bytes = 0;  // memory of the kernels' own
  int most_rank = 0;          // takes most, without its kernels
  uint64_t most_rank_bytes = 0;

  uint64_t TotalBytes() const {
    return batch_bytes + tensor_bytes + workspace_bytes + kernel_bytes;
  }
  // Returns "12.5 MiB: tensors of the batch 3.00, of ranks 3.00, workspaces 4.50, kernels 2.00".
  std::string Text() const;
};

// Returns what forward, or forward and backward, take on the ranks of this process, whose kernels
// take `kernel_bytes` of each rank. The plan has passed VerifyPlan.
MemoryNeed FindMemoryNeed(const Plan& plan, bool backward, const Ranks& ranks,
                          uint64_t kernel_bytes);

// ResourceExhausted if that is more than there is; names what is needed and found, the rank that
// takes most, and a workspace limit for a plan that fits.
absl::Status CheckMemory(const MemoryNeed& need);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_MEMORY_H_

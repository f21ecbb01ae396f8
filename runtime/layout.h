// Where the plan puts tokens, between global token order (documents one after the other) and the
// rows of a rank, and what memory a rank takes. Plans have passed VerifyPlan; ranks and sizes are
// checked: InvalidArgument, with what was found and what is expected.

#ifndef FLASHCP_RUNTIME_LAYOUT_H_
#define FLASHCP_RUNTIME_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/bytes.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// Counts the tokens of all documents, and of one rank.
int64_t TotalTokens(const Plan& plan);
absl::StatusOr<int64_t> RankTokens(const Plan& plan, int rank);

// Memory of a rank besides its tensors, in bytes.
struct RankMemory {
  uint64_t workspace;  // that an executor takes in a forward pass
  uint64_t
      backward_workspace;  // and in a backward pass; one executor takes the larger one for both
  uint64_t saved;          // that the caller keeps from forward to backward
};
absl::StatusOr<RankMemory> RankMemoryOf(const Plan& plan, int rank);

// Write of each row of the rank, in order: its token among those of all documents, its position in
// its document, its document. `values` holds RankTokens.
absl::Status WriteTokenIndices(const Plan& plan, int rank, absl::Span<int64_t> values);
absl::Status WritePositionIds(const Plan& plan, int rank, absl::Span<int64_t> values);
absl::Status WriteDocumentIds(const Plan& plan, int rank, absl::Span<int64_t> values);

// Copies the rows of `rank` out of a tensor in global order, and back into one. row_bytes is the
// size of one token's row; `global` holds TotalTokens rows, `local` RankTokens rows.
absl::Status ScatterRows(const Plan& plan, int rank, size_t row_bytes, ConstBytes global,
                         MutableBytes local);
absl::Status GatherRows(const Plan& plan, int rank, size_t row_bytes, ConstBytes local,
                        MutableBytes global);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_LAYOUT_H_

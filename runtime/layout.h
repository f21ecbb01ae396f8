// Where the plan puts tokens: between global token order (documents concatenated) and the rows of
// a rank. All functions are pure and take a plan that passed VerifyPlan.

#ifndef FLASHCP_RUNTIME_LAYOUT_H_
#define FLASHCP_RUNTIME_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "runtime/plan/plan.h"

namespace flashcp {

// Tokens of all documents, and of one rank.
int64_t TotalTokens(const Plan& plan);
int64_t RankTokens(const Plan& plan, int rank);

// Copies the rows of `rank` out of a tensor in global order, and back into one. row_bytes is the
// size of one token's row; `global` has TotalTokens rows, `local` has RankTokens rows.
void ScatterRows(const Plan& plan, int rank, size_t row_bytes, const void* global, void* local);
void GatherRows(const Plan& plan, int rank, size_t row_bytes, const void* local, void* global);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_LAYOUT_H_

// Placement rules of two other systems, written anew from their published descriptions, so that
// the planner can be compared with them on its own cost model.
//
// Both cut the pack into chunks of equal size at fixed positions, whatever document they fall in,
// and deal whole chunks to ranks, as many to each. Where the tokens do not divide so, the systems
// pad; here the last chunk is short and some ranks own fewer tokens. Such a placement may pass
// neither the token rule of slack 0 nor Placement::Verify(), which checks it.

#ifndef FLASHCP_BENCHMARKS_PEER_STRATEGIES_H_
#define FLASHCP_BENCHMARKS_PEER_STRATEGIES_H_

#include <cstdint>

#include "compiler/solver/problem.h"

namespace flashcp::benchmarks {

// MagiAttention's default dispatch: chunks in falling mask area, each to the least loaded rank that
// does not hold its share of chunks yet (a min-heap). chunk_tokens >= 1. Its documentation gives
// 512 as an example; left unset, it resolves to T / (8 N), which is 2048 for 128K tokens on 8
// ranks. Source: "MagiAttention", section Dispatch Solver,
// sandai-org.github.io/MagiAttention/docs. O(C log C) for C chunks.
solver::Placement PlaceMagiMinHeap(const solver::Problem& problem, int64_t chunk_tokens);

// PyTorch's process-time round robin for context-parallel FlexAttention: blocks of query rows in
// falling number of non-empty key blocks, dealt to ranks in snake order (0..N-1, N-1..0, ...).
// block_rows >= 1; PyTorch's is 128. Source: pytorch/pytorch pull request 163617. O(B log B) for B
// blocks.
solver::Placement PlacePtrr(const solver::Problem& problem, int64_t block_rows);

}  // namespace flashcp::benchmarks

#endif  // FLASHCP_BENCHMARKS_PEER_STRATEGIES_H_

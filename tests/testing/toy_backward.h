// The backward pass of a toy plan, derived from its forward program.

#ifndef FLASHCP_TESTS_TESTING_TOY_BACKWARD_H_
#define FLASHCP_TESTS_TESTING_TOY_BACKWARD_H_

#include <memory>

#include "runtime/plan/plan.h"

namespace flashcp::testing {

// Appends a buffer at the end of a memory, whose size is `*memory`; one of the caller's where it is
// null.
void AddToyBuffer(fbs::BufferKind kind, fbs::DType dtype, uint32_t rows, uint32_t heads,
                  uint32_t dim, uint64_t* memory, fbs::RankPlanT* rank);

// Appends the buffers that only backward uses, besides the caller's: delta, query_sum, key_sum,
// value_sum; a remote_key_sum or remote_value_sum for each remote or saved buffer; outgoing,
// incoming.
void AddToyBackwardBuffers(fbs::RankPlanT* rank);

// The backward program of a rank whose forward program is complete. For a test that changed that.
//
// Instructions: clear_gradients; the exchanges that bring K and V again; attend_backward of stage
// 0; of each later stage attend_backward, then pack_gradients and exchange_gradients of each of its
// exchanges, last exchange first, with add_gradients of all but the first; add_gradients of the
// first ones; store_gradients. Exchanges without messages are left out.
std::unique_ptr<fbs::BackwardProgramT> MakeToyBackward(const fbs::RankPlanT& rank);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TOY_BACKWARD_H_

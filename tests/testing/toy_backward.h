// The backward pass of a toy plan, derived from its forward program.

#ifndef FLASHCP_TESTS_TESTING_TOY_BACKWARD_H_
#define FLASHCP_TESTS_TESTING_TOY_BACKWARD_H_

#include <memory>
#include <vector>

#include "runtime/plan/plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::testing {

// An instruction before its waits have places in the table.
struct ToyStep {
  fbs::Instruction instruction;
  std::vector<fbs::Wait> waits;
};

// Writes steps as a program.
void WriteToySteps(const std::vector<ToyStep>& steps, std::vector<fbs::Instruction>* instructions,
                   std::vector<fbs::Wait>* waits);

// What a forward exchange does on its rank with the rows of remote buffers: not those of the caller
// or, if `unsaved` is set, those that are saved.
bool ReceivesRows(const fbs::RankPlanT& rank, const fbs::Instruction& exchange, bool unsaved);
bool SendsRowsOn(const fbs::RankPlanT& rank, const fbs::Instruction& exchange, bool unsaved);

// By stage, up to `stages`: whether the rank receives rows of it that are not saved.
std::vector<bool> StagesWithRows(const fbs::RankPlanT& rank, int stages);

// Appends a buffer, which lies nowhere yet.
void AddToyBuffer(fbs::BufferKind kind, fbs::DType dtype, uint32_t rows, uint32_t heads,
                  uint32_t dim, fbs::RankPlanT* rank);

// Appends the buffers that only backward uses, besides the caller's: delta, query_sum, key_sum,
// value_sum; a remote_key_sum or remote_value_sum for each remote or saved buffer; an outgoing_key
// or outgoing_value for each saved one; an incoming for each exchange with sends.
void AddToyBackwardBuffers(const ToyProblem& problem, fbs::RankPlanT* rank);

// The backward program of a rank whose forward program is complete, for the groups of heads, places
// and slots of `problem`; the default is for a test that changed a plan of one group.
//
// Instructions: clear_gradients of stage 0; the exchanges that bring K and V again; attend_backward
// of stage 0; of each later stage clear_gradients and attend_backward, then pack_gradients and
// exchange_gradients of each of its exchanges, last exchange first, with add_gradients of all but
// the first; add_gradients of the first ones; store_gradients. Exchanges without messages are left
// out.
//
// If slots are reused: clear_gradients and attend_backward of stage 0, the exchanges of the first
// two stages; then, for each stage, clear_gradients, attend_backward, and what its last exchange
// brought leaves, as does what the one before it of the stage before brought, each followed by
// add_gradients of the stage before that; the exchanges of the stage after the next;
// store_gradients.
std::unique_ptr<fbs::BackwardProgramT> MakeToyBackward(const fbs::RankPlanT& rank,
                                                       const ToyProblem& problem = {});

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TOY_BACKWARD_H_

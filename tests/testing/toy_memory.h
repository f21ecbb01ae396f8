// Where the buffers of a toy plan lie, and who used their bytes before.

#ifndef FLASHCP_TESTS_TESTING_TOY_MEMORY_H_
#define FLASHCP_TESTS_TESTING_TOY_MEMORY_H_

#include <vector>

#include "runtime/plan/plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::testing {

// Gives every buffer but the caller's its offset and places, and the rank its sizes of memory. The
// table is complete, and so is the forward program.
void PlaceToyBuffers(const ToyProblem& problem, fbs::RankPlanT* rank);

// Stage `stage` puts its remote rows where those of this stage were, so many rounds before.
struct ToyUse {
  int stage;
  uint32_t rounds;
};

// `has_rows`: by stage. No rows were there if the program has no such round.
ToyUse UseBefore(const ToyProblem& problem, const std::vector<bool>& has_rows, int stage);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TOY_MEMORY_H_

// What lanes of a warp compute together: shuffles, votes, reductions. PTX ISA, "shfl.sync",
// "vote.sync", "redux.sync", "elect.sync".

#ifndef FLASHCP_TESTS_EMULATOR_WARP_OPERATIONS_H_
#define FLASHCP_TESTS_EMULATOR_WARP_OPERATIONS_H_

#include <cstdint>

#include "tests/emulator/engine.h"

namespace flashcp::emulator {

enum class ShuffleMode { kUp, kDown, kButterfly, kIndex };
enum class VoteMode { kAll, kAny, kUniform, kBallot };
enum class ReductionMode { kAdd, kMin, kMax, kAnd, kOr, kXor };

// Returns the lane that `lane` reads, for operands b and c of shfl.sync; -1 if it is out of range,
// so that the lane keeps its own value.
int ShuffleSource(ShuffleMode mode, int lane, uint32_t b, uint32_t c);

// Arguments a, b, c; results d and p.
void Shuffle(ShuffleMode mode, const Meeting& meeting);
// Argument a.
void Vote(VoteMode mode, const Meeting& meeting);
// Argument a, of 32 bits.
void Reduce(ReductionMode mode, bool is_signed, const Meeting& meeting);
// Results: the lowest lane that meets, and whether it is the lane itself.
void Elect(const Meeting& meeting);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WARP_OPERATIONS_H_

// bar.sync and bar.arrive between the warps of a CTA.

#ifndef FLASHCP_TESTS_EMULATOR_WARP_BARRIERS_H_
#define FLASHCP_TESTS_EMULATOR_WARP_BARRIERS_H_

#include "tests/emulator/engine.h"

namespace flashcp::emulator {

// A warp arrives at the barrier of argument 0, with the count of argument 1 (0: all threads of the
// CTA), and waits there if `wait`.
void ArriveAtBarrier(bool wait, const Meeting& meeting);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WARP_BARRIERS_H_

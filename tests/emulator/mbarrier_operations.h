// mbarrier instructions of a thread: the object lies in shared memory, a thread that waits for it
// is blocked until its phase is complete.

#ifndef FLASHCP_TESTS_EMULATOR_MBARRIER_OPERATIONS_H_
#define FLASHCP_TESTS_EMULATOR_MBARRIER_OPERATIONS_H_

#include <cstdint>

#include "tests/emulator/engine.h"

namespace flashcp::emulator {

void InitMbarrier(Thread& thread, uint64_t address, uint32_t count);
void InvalidateMbarrier(Thread& thread, uint64_t address);

// mbarrier.arrive, with the bytes of .expect_tx or 0. Returns the state before.
uint64_t ArriveAtMbarrier(Thread& thread, uint64_t address, uint32_t count, uint32_t bytes);
void ExpectBytes(Thread& thread, uint64_t address, uint32_t bytes);
void CompleteBytes(Thread& thread, uint64_t address, uint32_t bytes);

// A phase that a thread waits for: that of a state, or the last one of a parity.
struct MbarrierPhase {
  uint64_t value;
  bool is_parity;
};
bool TestMbarrier(Thread& thread, uint64_t address, MbarrierPhase phase);
// mbarrier.try_wait may give up before the phase is complete. The first try does, so that code
// without a loop around it is found out; the next one blocks.
bool TryMbarrier(Thread& thread, uint64_t address, MbarrierPhase phase);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_MBARRIER_OPERATIONS_H_

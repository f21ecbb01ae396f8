// Describes threads that are stopped: the report of a deadlock, and the places in other errors.

#ifndef FLASHCP_TESTS_EMULATOR_DEADLOCK_H_
#define FLASHCP_TESTS_EMULATOR_DEADLOCK_H_

#include <string>

#include "tests/emulator/engine.h"

namespace flashcp::emulator {

// Returns "thread 37 (warp 1, lane 5)".
std::string DescribeThread(const Thread& thread);

// Returns "line 12: bar.sync 0", long texts cut.
std::string DescribeInstruction(const ptx::Instruction& instruction);

// Appends a line for each group of lanes of the warp that waits at one place.
void AppendWaits(const Warp& warp, std::string* report);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_DEADLOCK_H_

// Finds the registers of a kernel that cannot be read before they are written.

#ifndef FLASHCP_TESTS_EMULATOR_REGISTER_USE_H_
#define FLASHCP_TESTS_EMULATOR_REGISTER_USE_H_

#include <vector>

#include "tests/emulator/ptx.h"

namespace flashcp::emulator {

// Returns, for each register, whether all its uses lie in one basic block that writes it first.
// Others may be right too, but only the flow of control can tell.
std::vector<bool> WrittenBeforeUse(const ptx::Kernel& kernel);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_REGISTER_USE_H_

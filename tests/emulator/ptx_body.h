// Parses the body of a kernel: scopes, registers, labels, instructions.

#ifndef FLASHCP_TESTS_EMULATOR_PTX_BODY_H_
#define FLASHCP_TESTS_EMULATOR_PTX_BODY_H_

#include "absl/status/status.h"
#include "tests/emulator/ptx.h"
#include "tests/emulator/ptx_cursor.h"

namespace flashcp::emulator::ptx {

// Reads from "{" to the "}" that ends the kernel.
absl::Status ParseBody(Cursor& cursor, Kernel* kernel);

}  // namespace flashcp::emulator::ptx

#endif  // FLASHCP_TESTS_EMULATOR_PTX_BODY_H_

// Parses PTX text (PTX ISA 7.0 and later, as LLVM, nvcc and inline assembly write it).

#ifndef FLASHCP_TESTS_EMULATOR_PTX_PARSER_H_
#define FLASHCP_TESTS_EMULATOR_PTX_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/emulator/ptx.h"

namespace flashcp::emulator::ptx {

// Opcodes are not checked here: whoever translates an instruction does. Device functions and calls
// are errors.
absl::StatusOr<Module> Parse(absl::string_view source);

}  // namespace flashcp::emulator::ptx

#endif  // FLASHCP_TESTS_EMULATOR_PTX_PARSER_H_

// Names for steps of a pass, for tests that go over ranks, whose programs are not the same.

#ifndef FLASHCP_TESTS_RUNTIME_PROGRAM_STEP_NAME_H_
#define FLASHCP_TESTS_RUNTIME_PROGRAM_STEP_NAME_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/program/bound_program.h"

namespace flashcp::testing {

// Counts instructions of one opcode and stage: "resend 1 of stage 2, round 0".
inline std::string NameOfStep(const BoundProgram& program, uint32_t step) {
  const fbs::Instruction& instruction = program.InstructionOf(step);
  int number = 0;
  for (uint32_t i = 0; i < program.IndexOf(step); ++i) {
    const fbs::Instruction& other = program.instructions[i];
    number += other.opcode() == instruction.opcode() && other.stage() == instruction.stage();
  }
  return absl::StrCat(fbs::EnumNameOpcode(instruction.opcode()), " ", number, " of stage ",
                      instruction.stage(), ", round ", program.RoundOf(step));
}

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_RUNTIME_PROGRAM_STEP_NAME_H_

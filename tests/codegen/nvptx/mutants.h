// Mutants of PTX: texts that differ from it in one instruction, of the kinds that a kernel of many
// threads goes wrong by. A test suite that lets one pass is too weak, or the instruction is
// needless.

#ifndef FLASHCP_TESTS_CODEGEN_NVPTX_MUTANTS_H_
#define FLASHCP_TESTS_CODEGEN_NVPTX_MUTANTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace flashcp {

struct Mutant {
  int line;            // of the PTX, from 1
  std::string kind;    // what was done, for instance "drop a wait"
  std::string before;  // the instruction
  std::string after;
  size_t offset;  // of the instruction in the text
};

// Returns all mutants of the body of kernel `name`, by their place. Empty if there is no such
// kernel.
std::vector<Mutant> MutantsOf(absl::string_view ptx, absl::string_view name);

// Returns the mutants that a short run tries: of each kind and opcode the first, the last and
// `between` evenly between them, since loops that were unrolled repeat one mistake many times.
std::vector<Mutant> Sample(const std::vector<Mutant>& mutants, int between);

// Returns the text with the mutant's instruction in place.
std::string Apply(absl::string_view ptx, const Mutant& mutant);

// Returns the instruction without the numbers of registers and labels: what names a mutant in
// lists.
std::string Anonymous(absl::string_view instruction);

}  // namespace flashcp

#endif  // FLASHCP_TESTS_CODEGEN_NVPTX_MUTANTS_H_

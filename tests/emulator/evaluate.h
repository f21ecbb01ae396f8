// Runs a few PTX instructions in the lanes of a CTA, for tests of single instructions.

#ifndef FLASHCP_TESTS_EMULATOR_EVALUATE_H_
#define FLASHCP_TESTS_EMULATOR_EVALUATE_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/emulator/launch_options.h"

namespace flashcp::emulator {

// Returns the result of `code` in each lane; lane i gets operands[j][i]. Registers of the code:
//   %A, %B, %C  operands 0 to 2, 64 bits    %D  the result, if the code names it, otherwise
//   %a, %b, %c  their low 32 bits           %d  the result of 32 bits, otherwise
//   %ha, %hb, %hc  their low 16 bits        %h  the result of 16 bits
//   %p, %q  predicates, %x, %y 32 bits, %X, %Y 64 bits, to be used freely
// The name `tile` is 1 KiB of shared memory.
absl::StatusOr<std::vector<uint64_t>> Evaluate(const std::string& code,
                                               const std::vector<std::vector<uint64_t>>& operands,
                                               const Schedule& schedule = {});

// Evaluates for one thread; an error fails the test and gives all ones.
uint64_t EvaluateOne(const std::string& code, const std::vector<uint64_t>& operands);

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline float FloatOf(uint64_t bits) {
  const uint32_t low = static_cast<uint32_t>(bits);
  float value;
  std::memcpy(&value, &low, sizeof(value));
  return value;
}

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_EVALUATE_H_

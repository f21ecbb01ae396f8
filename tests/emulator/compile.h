// Compiles translated kernels for the host: LLVM's optimisations and ORC's JIT.

#ifndef FLASHCP_TESTS_EMULATOR_COMPILE_H_
#define FLASHCP_TESTS_EMULATOR_COMPILE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/emulator/kernel.h"
#include "tests/emulator/ptx.h"

namespace flashcp::emulator {

// Owns the code of one kernel.
class HostCode {
 public:
  // Translates and compiles kernel->code, and fills the rest of *kernel. `addresses` holds those of
  // the module's variables that are not shared.
  static absl::StatusOr<std::unique_ptr<HostCode>> Compile(
      const std::vector<ptx::Variable>& module_variables,
      const std::map<std::string, uint64_t>& addresses, Kernel* kernel);
  ~HostCode();

 private:
  struct State;
  explicit HostCode(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_COMPILE_H_

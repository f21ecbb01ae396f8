// Executes PTX on the CPU: the front of the emulator. See docs/emulator.md.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Module> module, Module::Load(ptx));
//   ASSIGN_OR_RETURN(const Kernel* kernel, module->FindKernel("add"));
//   GlobalMemory memory;
//   memory.Register("x", x);
//   const float* pointer = x.data();
//   RETURN_IF_ERROR(Launch(*kernel, {&pointer, &count}, memory, {.grid = ..., .block = ...}));

#ifndef FLASHCP_TESTS_EMULATOR_EMULATOR_H_
#define FLASHCP_TESTS_EMULATOR_EMULATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tests/emulator/launch_options.h"
#include "tests/emulator/memory.h"

namespace flashcp::emulator {

class Kernel;

// The kernels and variables of one PTX text.
class Module {
 public:
  // Parses the text. Instructions are translated when a kernel is found.
  static absl::StatusOr<std::unique_ptr<Module>> Load(absl::string_view ptx);
  ~Module();

  std::vector<std::string> kernel_names() const;

  // Translates and compiles the kernel at the first call. Fails, with the line, for instructions
  // that are not supported. The kernel lives as long as the module. Safe for several threads.
  absl::StatusOr<const Kernel*> FindKernel(absl::string_view name);

  // Finds a .global or .const variable: its address and bytes.
  absl::StatusOr<absl::Span<std::byte>> FindVariable(absl::string_view name);

 private:
  struct State;
  explicit Module(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a caller of cuFuncGetAttribute would ask.
const std::string& NameOf(const Kernel& kernel);
std::vector<size_t> ParameterBytesOf(const Kernel& kernel);
std::array<int, 3> RequiredThreadsOf(const Kernel& kernel);  // .reqntid; zeros if absent
size_t StaticSharedBytesOf(const Kernel& kernel);            // without dynamic shared memory

// Runs the grid. `arguments` points to the value of each parameter, as cuLaunchKernel's. The error
// of a kernel names the CTA, the thread and the instruction: an access out of bounds or misaligned,
// a data race, a collective that lanes miss, a deadlock, with who waits for what.
absl::Status Launch(const Kernel& kernel, absl::Span<const void* const> arguments,
                    const GlobalMemory& memory, const LaunchOptions& options);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_EMULATOR_H_

// Turns every end of a command, lack of memory included, into one line and an exit code.

#include "tools/cli/main.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "compiler/compile.h"
#include "support/command_line.h"
#include "support/free_memory.h"
#include "support/status_macros.h"
#include "tools/cli/arguments.h"
#include "tools/cli/commands.h"
#include "tools/cli/console.h"

namespace flashcp::cli {
namespace {

// Says so on standard error and ends the process with exit code 1, without another allocation. For
// code that cannot be left by an exception, LLVM's for instance.
[[noreturn]] void ExitOutOfMemory() {
  const OutOfMemoryText text = DescribeOutOfMemory();
  std::array<char, 160> line;
  const int size = std::snprintf(line.data(), line.size(), "flashcp: %s\n", text.data());
  // Nothing can be done about a failure.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), size);
  _exit(1);
}

// Ends the process for an exception that nobody caught, in a thread for instance.
void OnTerminate() {
  try {
    if (std::current_exception()) throw;
  } catch (const std::bad_alloc&) {
    ExitOutOfMemory();
  } catch (...) {
  }
  std::abort();
}

// Lets commands that plan end at once when there is no memory: exceptions must not pass through
// MLIR, and they have nothing open. `run` has other ranks, which must learn of it.
void HandleOutOfMemory(bool runs) {
  std::set_terminate(OnTerminate);
  if (runs) return;
  std::set_new_handler(ExitOutOfMemory);
  Compiler::HandleOutOfMemory(ExitOutOfMemory);
}

absl::Status ParseAndRun(int argc, const char* const* argv) {
  ASSIGN_OR_RETURN(Arguments arguments, ParseArguments(argc, argv));
  HandleOutOfMemory(std::holds_alternative<RunFlags>(arguments.command));
  Console console(arguments.quiet);
  return std::visit(
      [&](const auto& command) {
        if constexpr (std::is_same_v<decltype(command), const ShowText&>) {
          return console.Print(command.text);
        } else {
          return RunCommand(command, console);
        }
      },
      arguments.command);
}

}  // namespace

int Main(int argc, const char* const* argv) {
  absl::Status status;
  try {
    status = ParseAndRun(argc, argv);
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError(OutOfMemoryMessage());
  } catch (const std::length_error&) {  // of a container
    status = absl::ResourceExhaustedError(OutOfMemoryMessage());
  }
  return Finish("flashcp", status);
}

}  // namespace flashcp::cli

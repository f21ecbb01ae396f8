#include "tools/cli/main.h"

#include <new>
#include <stdexcept>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "support/command_line.h"
#include "support/status_macros.h"
#include "tools/cli/arguments.h"
#include "tools/cli/commands.h"
#include "tools/cli/console.h"

namespace flashcp::cli {
namespace {

absl::Status ParseAndRun(int argc, const char* const* argv) {
  ASSIGN_OR_RETURN(Arguments arguments, ParseArguments(argc, argv));
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
    status = absl::ResourceExhaustedError("out of memory");
  } catch (const std::length_error&) {  // of a container
    status = absl::ResourceExhaustedError("out of memory");
  }
  return Finish("flashcp", status);
}

}  // namespace flashcp::cli

#include "tools/cli/main.h"

#include <iostream>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
      return 2;
    default:
      return 1;
  }
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
  // Without a message another process reports it. One write: other processes write too.
  if (!status.message().empty()) std::cerr << absl::StrCat("flashcp: ", status.message(), "\n");
  return ExitCode(status);
}

}  // namespace flashcp::cli

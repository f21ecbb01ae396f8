// The common part of programs whose command line CLI11 parses: values that are refused, and the
// exit codes, 0 done, 1 the work failed, 2 bad usage or bad input.

#ifndef FLASHCP_SUPPORT_COMMAND_LINE_H_
#define FLASHCP_SUPPORT_COMMAND_LINE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace CLI {
class App;
}

namespace flashcp {

// Returns the error of an empty value, which would read as "not given", as a check of options.
std::string RefuseEmpty(const std::string& value);

// Goes to the folder that `bazel run` was called in, where it was: it starts programs elsewhere,
// and relative names are the caller's. Unavailable if that folder cannot be entered.
absl::Status EnterCallersFolder();

// Fills in the options. Returns the exit code if the program is done: after --help, or an error,
// which it has printed.
std::optional<int> ParseCommandLine(int argc, char** argv, CLI::App* app);

// Returns the exit code of a program, or command, that ended with `status`.
int ExitCode(const absl::Status& status);

// Prints an error as "program: message" in one write, since other processes may write too; nothing
// if there is no message: another process has it. Returns the exit code.
int Finish(absl::string_view program, const absl::Status& status);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_COMMAND_LINE_H_

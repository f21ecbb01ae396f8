// Errors are one line on standard error, and the exit code tells bad usage from failed work.

#include "support/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace flashcp {

std::string RefuseEmpty(const std::string& value) {
  return value.empty() ? "expected a value, found ''" : "";
}

absl::Status EnterCallersFolder() {
  const char* folder = std::getenv("BUILD_WORKING_DIRECTORY");
  if (folder == nullptr || chdir(folder) == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(folder, ": cannot be entered: ", std::strerror(errno)));
}

std::optional<int> ParseCommandLine(int argc, char** argv, CLI::App* app) {
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
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

int Finish(absl::string_view program, const absl::Status& status) {
  if (!status.message().empty()) {
    std::cerr << absl::StrCat(program, ": ", status.message(), "\n");
  }
  return ExitCode(status);
}

}  // namespace flashcp

#include "support/command_line.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace flashcp {

std::string RefuseEmpty(const std::string& value) {
  return value.empty() ? "expected a value, found ''" : "";
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

// A result that cannot be written is an error; a note that cannot be written is lost.

#include "tools/cli/console.h"

#include <unistd.h>

#include <iostream>

#include "support/files.h"

namespace flashcp::cli {

absl::Status Console::Print(absl::string_view text) const { return WriteFile("-", text); }

void Console::Report(absl::string_view text) const { std::cerr << text << '\n'; }

void Console::Note(absl::string_view line) const {
  if (!quiet_) Report(line);
}

void Console::Progress(absl::string_view line) const {
  if (ShowsProgress()) Note(line);
}

bool Console::ShowsProgress() const { return !quiet_ && isatty(STDERR_FILENO); }

}  // namespace flashcp::cli

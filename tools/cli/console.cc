#include "tools/cli/console.h"

#include <iostream>

#include "support/files.h"

namespace flashcp::cli {

absl::Status Console::Print(absl::string_view text) const { return WriteFile("-", text); }

void Console::Note(absl::string_view line) const {
  if (!quiet_) std::cerr << line << '\n';
}

}  // namespace flashcp::cli

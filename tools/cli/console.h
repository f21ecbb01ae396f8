// The two streams that commands write to: results go to standard output, notes to standard error
// unless --quiet, and progress there too if it is a terminal.

#ifndef FLASHCP_TOOLS_CLI_CONSOLE_H_
#define FLASHCP_TOOLS_CLI_CONSOLE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace flashcp::cli {

class Console {
 public:
  explicit Console(bool quiet) : quiet_(quiet) {}

  // Prints a result; Unavailable if standard output does not take it.
  absl::Status Print(absl::string_view text) const;
  // Prints the answer to a flag on standard error, --quiet or not. Without the last line's end.
  void Report(absl::string_view text) const;
  // Prints one line on standard error unless --quiet; without the line's end.
  void Note(absl::string_view line) const;
  // Prints a note if standard error is a terminal.
  void Progress(absl::string_view line) const;
  // Returns whether notes are wanted and standard error is a terminal.
  bool ShowsProgress() const;

 private:
  bool quiet_;
};

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_CONSOLE_H_

// Where commands talk: results to standard output, notes to standard error unless --quiet, and how
// far long work is only where somebody looks on.

#ifndef FLASHCP_TOOLS_CLI_CONSOLE_H_
#define FLASHCP_TOOLS_CLI_CONSOLE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace flashcp::cli {

class Console {
 public:
  explicit Console(bool quiet) : quiet_(quiet) {}

  // Unavailable where standard output does not take it.
  absl::Status Print(absl::string_view text) const;
  // Prints what a flag asked for to standard error, --quiet or not. Without the last line's end.
  void Report(absl::string_view text) const;
  // One line, without the line's end.
  void Note(absl::string_view line) const;
  // A note where standard error is a terminal, nothing elsewhere.
  void Progress(absl::string_view line) const;
  // Returns whether notes are wanted and standard error is a terminal.
  bool ShowsProgress() const;

 private:
  bool quiet_;
};

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_CONSOLE_H_

// The display of long work: one note when it begins or, on a terminal, a line that shows the
// progress and goes away when the work is done.

#ifndef FLASHCP_TOOLS_CLI_PROGRESS_LINE_H_
#define FLASHCP_TOOLS_CLI_PROGRESS_LINE_H_

#include <atomic>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tools/cli/console.h"

namespace flashcp::cli {

// A display that lives as long as the work. Several threads may call it.
class ProgressLine {
 public:
  // `work` names the work: "checking against float64".
  ProgressLine(const Console& console, const std::string& work);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Shows the part of the work that is done, from 0 to 1, in percent.
  void Update(double fraction);
  // Shows the step that the work is at.
  void Show(absl::string_view step);
  // Prints a note that stays.
  void Note(absl::string_view line);

 private:
  void Replace(const std::string& text);

  const Console console_;
  const bool on_terminal_;
  const std::string work_;
  std::atomic<int> percent_{0};
  absl::Mutex mutex_;
  std::string shown_;  // guarded by mutex_
};

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_PROGRESS_LINE_H_

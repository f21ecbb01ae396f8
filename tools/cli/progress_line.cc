// The line is rewritten in place on a terminal; elsewhere only notes appear.

#include "tools/cli/progress_line.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace flashcp::cli {

ProgressLine::ProgressLine(const Console& console, const std::string& work)
    : console_(console), on_terminal_(console.ShowsProgress()), work_(work) {
  on_terminal_ ? Replace(work_) : console_.Note(work_);
}

ProgressLine::~ProgressLine() { Replace(""); }

void ProgressLine::Update(double fraction) {
  const int percent = static_cast<int>(100 * fraction);
  int before = percent_;
  while (percent > before) {
    if (percent_.compare_exchange_weak(before, percent)) return Show(absl::StrCat(percent, "%"));
  }
}

void ProgressLine::Show(absl::string_view step) { Replace(absl::StrCat(work_, ": ", step)); }

void ProgressLine::Note(absl::string_view line) {
  Replace("");
  console_.Note(line);
}

// Covers the rest of a longer text with blanks: terminals differ in their codes for that.
void ProgressLine::Replace(const std::string& text) {
  if (!on_terminal_) return;
  absl::MutexLock lock(&mutex_);
  const std::string blanks(shown_.size() - std::min(shown_.size(), text.size()), ' ');
  std::cerr << '\r' << text << blanks << (text.empty() ? "\r" : "") << std::flush;
  shown_ = text;
}

}  // namespace flashcp::cli

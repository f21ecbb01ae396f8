#include "tools/cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace flashcp::cli {
namespace {

// The headings' lines as rows of their own, aligned to the bottom.
std::vector<std::vector<std::string>> SplitHeadings(const std::vector<std::string>& headings) {
  std::vector<std::vector<std::string>> lines;
  size_t height = 1;
  for (const std::string& heading : headings) {
    lines.push_back(absl::StrSplit(heading, '\n'));
    height = std::max(height, lines.back().size());
  }
  std::vector<std::vector<std::string>> rows(height, std::vector<std::string>(headings.size()));
  for (size_t column = 0; column < headings.size(); ++column) {
    size_t first = height - lines[column].size();
    for (size_t i = 0; i < lines[column].size(); ++i) rows[first + i][column] = lines[column][i];
  }
  return rows;
}

}  // namespace

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines = SplitHeadings(rows[0]);
  lines.insert(lines.end(), rows.begin() + 1, rows.end());
  std::vector<size_t> widths(rows[0].size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      std::string space(widths[i] - line[i].size(), ' ');
      i == 0 ? absl::StrAppend(&text, line[i], space)
             : absl::StrAppend(&text, "  ", space, line[i]);
    }
    text.push_back('\n');
  }
  return text;
}

std::string FormatBytes(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.995 && unit < 6) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.2f %s", value, units[unit]);
}

std::string FormatMs(double ms) { return absl::StrFormat("%.3f", ms); }
std::string FormatRatio(double ratio) { return absl::StrFormat("%.3f", ratio); }

}  // namespace flashcp::cli

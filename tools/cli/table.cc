// Widths are those of the widest cell, with two blanks between columns.

#include "tools/cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace flashcp::cli {
namespace {

// Returns the headings' lines as rows of their own, aligned to the bottom.
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

RowFormat::RowFormat(const std::vector<std::string>& headings,
                     const std::vector<std::vector<std::string>>& samples)
    : headings_(SplitHeadings(headings)), widths_(headings.size()) {
  std::vector<std::vector<std::string>> rows = headings_;
  rows.insert(rows.end(), samples.begin(), samples.end());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths_[i] = std::max(widths_[i], row[i].size());
  }
}

std::string RowFormat::Headings() const {
  std::string text;
  for (const auto& line : headings_) absl::StrAppend(&text, Row(line));
  return text;
}

std::string RowFormat::Row(const std::vector<std::string>& cells) const {
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) {
    std::string space(widths_[i] - std::min(widths_[i], cells[i].size()), ' ');
    i == 0 ? absl::StrAppend(&text, cells[i], space)
           : absl::StrAppend(&text, "  ", space, cells[i]);
  }
  return text + "\n";
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> body(rows.begin() + 1, rows.end());
  RowFormat format(rows[0], body);
  std::string text = format.Headings();
  for (const auto& row : body) absl::StrAppend(&text, format.Row(row));
  return text;
}

std::string FoldItems(const std::vector<std::string>& items) {
  constexpr size_t kMaxColumns = 100;
  std::string text;
  size_t line = 0;  // where it begins
  for (const std::string& item : items) {
    // The comma after the item counts too.
    if (!text.empty() && text.size() + 1 + item.size() + 1 - line > kMaxColumns) {
      text.push_back('\n');
      line = text.size();
      text.push_back(' ');
    }
    if (!text.empty()) text.push_back(' ');
    absl::StrAppend(&text, item, &item == &items.back() ? "" : ",");
  }
  return text;
}

std::string Shorten(const std::string& text, size_t width) {
  if (text.size() <= width) return text;
  size_t end = width - 3;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;  // not within a character of UTF-8
  return text.substr(0, end) + "...";
}

std::string FormatMs(double ms) { return absl::StrFormat("%.3f", ms); }
std::string FormatRatio(double ratio) { return absl::StrFormat("%.3f", ratio); }

}  // namespace flashcp::cli

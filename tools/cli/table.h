// Columns of text for people, and figures in units that they can read.

#ifndef FLASHCP_TOOLS_CLI_TABLE_H_
#define FLASHCP_TOOLS_CLI_TABLE_H_

#include <string>
#include <vector>

namespace flashcp::cli {

// The widths of columns, enough for headings and samples, so that rows can be printed one by one. A
// heading may have several lines. Cells are right-aligned, except in the first column.
class RowFormat {
 public:
  RowFormat(const std::vector<std::string>& headings,
            const std::vector<std::vector<std::string>>& samples);

  std::string Headings() const;
  // Returns one line; fewer cells than columns make a shorter one.
  std::string Row(const std::vector<std::string>& cells) const;

 private:
  std::vector<std::vector<std::string>> headings_;  // line by line
  std::vector<size_t> widths_;
};

// Returns the first row as headings and the others below, as RowFormat prints them.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// Returns the items as one line, or as several of at most 100 columns if they do not fit:
// separated by ", ", each further line indented. Without the last line's end.
std::string FoldItems(const std::vector<std::string>& items);
// Returns the text, or its beginning and "..." if it has more than `width` bytes.
std::string Shorten(const std::string& text, size_t width);

// Returns "12.345".
std::string FormatMs(double ms);
// Returns "1.016".
std::string FormatRatio(double ratio);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TABLE_H_

// Columns of text for people, and figures in units that they can read.

#ifndef FLASHCP_TOOLS_CLI_TABLE_H_
#define FLASHCP_TOOLS_CLI_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flashcp::cli {

// Rows of cells, the first row being the headings. A heading may have several lines. Cells are
// right-aligned, except in the first column.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// "1.50 MB": powers of 1000.
std::string FormatBytes(uint64_t bytes);
// "12.345"
std::string FormatMs(double ms);
// "1.016"
std::string FormatRatio(double ratio);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_TABLE_H_

// The spread of a plan's work, traffic and memory over its ranks, as a table: a row for each rank,
// or the least, the mean and the most of each quantity.

#ifndef FLASHCP_TOOLS_CLI_RANK_TABLE_H_
#define FLASHCP_TOOLS_CLI_RANK_TABLE_H_

#include <string>

#include "runtime/plan/statistics.h"

namespace flashcp::cli {

// Returns a row for each of up to 16 ranks, the extremes of more, or a row for each of any number
// if `all_ranks`. Backward has one column if every rank receives the number of bytes that it sends,
// as it does unless rows are saved.
std::string RankTable(const PlanStatistics& statistics, bool all_ranks);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_RANK_TABLE_H_

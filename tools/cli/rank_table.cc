// A list of quantities makes both tables: its columns with a row for each rank, or its rows.

#include "tools/cli/rank_table.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "support/mebibytes.h"
#include "tools/cli/table.h"

namespace flashcp::cli {
namespace {

constexpr size_t kMostRows = 16;

// One figure of every rank.
struct Quantity {
  std::string heading;  // lines of a column's heading
  uint64_t RankStatistics::*value;
  bool bytes = false;
};

std::vector<Quantity> QuantitiesOf(const PlanStatistics& statistics) {
  const bool symmetric =
      std::all_of(statistics.ranks.begin(), statistics.ranks.end(), [](const RankStatistics& rank) {
        return rank.receive_bytes_backward == rank.send_bytes_backward;
      });
  std::vector<Quantity> quantities = {
      {"tokens", &RankStatistics::tokens},
      {"pairs", &RankStatistics::pairs},
      {"messages\nin", &RankStatistics::receive_messages},
      {"K/V in\nforward\nMiB", &RankStatistics::receive_bytes_forward, true},
      {"K/V out\nforward\nMiB", &RankStatistics::send_bytes_forward, true}};
  if (symmetric) {
    quantities.push_back(
        {"backward\nin = out\nMiB", &RankStatistics::receive_bytes_backward, true});
  } else {
    quantities.push_back({"in\nbackward\nMiB", &RankStatistics::receive_bytes_backward, true});
    quantities.push_back({"out\nbackward\nMiB", &RankStatistics::send_bytes_backward, true});
  }
  quantities.push_back({"query\nranges", &RankStatistics::segments});
  quantities.push_back({"peak\nmemory\nMiB", &RankStatistics::peak_bytes, true});
  return quantities;
}

std::string Cell(const Quantity& quantity, uint64_t value) {
  return quantity.bytes ? FormatMib(value) : absl::StrCat(value);
}

std::string EachRank(const std::vector<Quantity>& quantities,
                     const std::vector<RankStatistics>& ranks) {
  std::vector<std::vector<std::string>> rows = {{"rank"}};
  for (const Quantity& quantity : quantities) rows[0].push_back(quantity.heading);
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    rows.push_back({absl::StrCat(rank)});
    for (const Quantity& quantity : quantities) {
      rows.back().push_back(Cell(quantity, ranks[rank].*quantity.value));
    }
  }
  return FormatTable(rows);
}

std::string Extremes(const std::vector<Quantity>& quantities,
                     const std::vector<RankStatistics>& ranks) {
  std::vector<std::vector<std::string>> rows = {
      {"of a rank", "least", "at rank", "mean", "most", "at rank"}};
  for (const Quantity& quantity : quantities) {
    auto [least, most] = std::minmax_element(
        ranks.begin(), ranks.end(),
        [&](const auto& a, const auto& b) { return a.*quantity.value < b.*quantity.value; });
    double mean = 0;
    for (const RankStatistics& rank : ranks) mean += double(rank.*quantity.value) / ranks.size();
    rows.push_back({absl::StrReplaceAll(quantity.heading, {{"\nMiB", ", MiB"}, {"\n", " "}}),
                    Cell(quantity, (*least).*quantity.value), absl::StrCat(least - ranks.begin()),
                    quantity.bytes ? FormatMib(mean) : absl::StrFormat("%.1f", mean),
                    Cell(quantity, (*most).*quantity.value), absl::StrCat(most - ranks.begin())});
  }
  return absl::StrCat(FormatTable(rows), "--all-ranks prints a row for each of the ", ranks.size(),
                      " ranks\n");
}

}  // namespace

std::string RankTable(const PlanStatistics& statistics, bool all_ranks) {
  const std::vector<Quantity> quantities = QuantitiesOf(statistics);
  const bool each = all_ranks || statistics.ranks.size() <= kMostRows;
  return (each ? EachRank : Extremes)(quantities, statistics.ranks);
}

}  // namespace flashcp::cli

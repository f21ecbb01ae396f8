// Decides whether what all ranks share, sizes, bands and the cluster, is within its limits.

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

constexpr uint32_t kMaxHeads = 1024;
constexpr uint32_t kMaxDim = 256;
constexpr uint32_t kDimStep = 8;
constexpr uint64_t kMaxTokens = uint64_t{1} << 31;

absl::Status CheckHeads(const fbs::HeadShape& heads) {
  if (heads.key_value() == 0 || heads.query() == 0 || heads.query() > kMaxHeads ||
      heads.query() % heads.key_value() != 0) {
    return Broken("P1", "1 to ", kMaxHeads, " query heads, a multiple of the K/V heads, expected, ",
                  heads.query(), ":", heads.key_value(), " found");
  }
  if (heads.dim() == 0 || heads.dim() > kMaxDim || heads.dim() % kDimStep != 0) {
    return Broken("P1", "head dimension from ", kDimStep, " to ", kMaxDim, " in steps of ",
                  kDimStep, " expected, ", heads.dim(), " found");
  }
  return absl::OkStatus();
}

absl::Status CheckDocuments(const PlanView& view) {
  uint64_t tokens = 0;
  for (size_t i = 0; i < view.documents.size(); ++i) {
    const fbs::Document& document = view.documents[i];
    if (document.band().lower() > document.band().upper()) {
      return Broken("P1", "document ", i, ": a band expected, ", document.band().lower(), " to ",
                    document.band().upper(), " found");
    }
    tokens += document.length();
  }
  if (tokens > kMaxTokens) {
    return Broken("P1", "at most ", kMaxTokens, " tokens expected, ", tokens, " found");
  }
  return absl::OkStatus();
}

bool IsPositive(double value) { return std::isfinite(value) && value > 0; }
bool IsAtLeastZero(double value) { return std::isfinite(value) && value >= 0; }

bool IsValid(const fbs::LinkClass* link) {
  return link != nullptr && IsPositive(link->bytes_per_us()) && IsAtLeastZero(link->latency_us());
}

absl::Status CheckTileTable(const fbs::TileTable& table) {
  absl::Span<const uint32_t> columns = Items(table.columns());
  absl::Span<const double> forward_us = Items(table.forward_us());
  absl::Span<const double> backward_us = Items(table.backward_us());
  if (table.block_rows() == 0 || table.block_columns() == 0 || columns.size() < 2 ||
      forward_us.size() != columns.size() || backward_us.size() != columns.size()) {
    return Broken("P2", "tile table: blocks of 1 or more and 2 or more columns, each with both ",
                  "times, expected, ", columns.size(), " columns, ", forward_us.size(), " and ",
                  backward_us.size(), " times found");
  }
  if (!IsAtLeastZero(table.merge_us())) {
    return Broken("P2", "tile table: a merge of 0 us or more expected, ", table.merge_us(),
                  " found");
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] <= (i == 0 ? 0 : columns[i - 1]) || !IsAtLeastZero(forward_us[i]) ||
        !IsAtLeastZero(backward_us[i])) {
      return Broken("P2", "tile table, entry ", i,
                    ": increasing columns and times of 0 or more expected, ", columns[i], ", ",
                    forward_us[i], " and ", backward_us[i], " us found");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckHeader(const PlanView& view) {
  const fbs::Plan& plan = view.plan;
  if (view.ranks.empty() || view.ranks.size() > kMaxPlanRanks) {
    return Broken("P1", "1 to ", kMaxPlanRanks, " ranks expected, ", view.ranks.size(), " found");
  }
  if (plan.exchange() > fbs::Exchange::MAX || plan.dtype() > fbs::DType::MAX) {
    return Broken("P1", "unknown exchange ", static_cast<int>(plan.exchange()), " or dtype ",
                  static_cast<int>(plan.dtype()));
  }
  if (!IsAtLeastZero(plan.slack_percent())) {
    return Broken("P1", "slack of 0 % or more expected, ", plan.slack_percent(), " found");
  }
  if (!IsPositive(plan.scale())) {
    return Broken("P1", "finite scale above 0 expected, ", plan.scale(), " found");
  }
  RETURN_IF_ERROR(CheckHeads(view.heads));
  if (view.head_groups == 0 || view.heads.key_value() % view.head_groups != 0) {
    return Broken("P1", "head groups that divide ", view.heads.key_value(), " K/V heads expected, ",
                  view.head_groups, " found");
  }
  RETURN_IF_ERROR(CheckDocuments(view));
  const fbs::Cluster& cluster = *plan.cluster();
  if (cluster.ranks_per_node() == 0 || !IsValid(cluster.intra_node()) ||
      !IsValid(cluster.inter_node())) {
    return Broken("P2", "cluster '", cluster.name()->c_str(), "': 1 or more ranks per node and ",
                  "two link classes of positive bandwidth expected");
  }
  const fbs::Modelled& modelled = *plan.modelled();
  if (!IsAtLeastZero(modelled.forward_us()) || !IsAtLeastZero(modelled.backward_us()) ||
      !IsAtLeastZero(modelled.compute_bound_us()) ||
      !IsAtLeastZero(modelled.communication_bound_us()) ||
      !IsAtLeastZero(modelled.combined_bound_us())) {
    return Broken("P2", "modelled times of 0 us or more expected, ", modelled.forward_us(), ", ",
                  modelled.backward_us(), " and bounds ", modelled.compute_bound_us(), ", ",
                  modelled.communication_bound_us(), ", ", modelled.combined_bound_us(), " found");
  }
  return CheckTileTable(*cluster.tiles());
}

}  // namespace flashcp::verifier

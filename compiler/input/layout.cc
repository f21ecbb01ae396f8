// A layout lists tokens by rank, a placement by document: two orders of the same ranges.

#include "compiler/input/layout.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

template <typename Expected, typename Found>
absl::Status Differs(absl::string_view field, const Expected& expected, const Found& found) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": expected ", expected, " as in the plan, found ", found));
}

absl::Status CheckLengths(const Plan& plan, const solver::Problem& problem) {
  const absl::Span<const fbs::Document> documents = Items(plan->documents());
  if (problem.documents.size() != documents.size()) {
    return Differs("documents", documents.size(), problem.documents.size());
  }
  for (size_t d = 0; d < documents.size(); ++d) {
    if (problem.documents[d].length == documents[d].length()) continue;
    return Differs(absl::StrCat("length of document ", d), documents[d].length(),
                   problem.documents[d].length);
  }
  return absl::OkStatus();
}

// The compiler puts the rows of a rank in the order of the pack. A plan of another maker may not.
absl::Status CheckRowOrder(const Plan& plan) {
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    std::tuple<uint32_t, uint32_t> previous;
    for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
      const std::tuple<uint32_t, uint32_t> first = {range.document(), range.begin()};
      if (first < previous) {
        return absl::InvalidArgumentError(absl::StrCat(
            "layout of rank ", rank, ": expected rows in the order of the pack, found token ",
            range.begin(), " of document ", range.document(), " after a later one"));
      }
      previous = first;
    }
  }
  return absl::OkStatus();
}

// Makes one segment of those that meet on one rank.
void MergeNeighbours(std::vector<solver::Segment>* segments) {
  size_t merged = 0;
  for (const solver::Segment& segment : *segments) {
    if (merged > 0 && (*segments)[merged - 1].rank == segment.rank) {
      (*segments)[merged - 1].end = segment.end;
    } else {
      (*segments)[merged++] = segment;
    }
  }
  segments->resize(merged);
}

}  // namespace

solver::Placement PlacementOf(const Plan& plan) {
  solver::Placement placement;
  placement.documents.resize(Items(plan->documents()).size());
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
      placement.documents[range.document()].push_back({range.begin(), range.end(), rank});
    }
  }
  for (std::vector<solver::Segment>& segments : placement.documents) {
    std::sort(segments.begin(), segments.end(),
              [](const solver::Segment& a, const solver::Segment& b) { return a.begin < b.begin; });
    MergeNeighbours(&segments);
  }
  return placement;
}

absl::Status TakeLayout(const Plan& plan, CompileRequest* request) {
  const CompileRequest defaults;
  solver::Problem& problem = request->problem;
  if (problem.ranks != plan.num_ranks()) return Differs("ranks", plan.num_ranks(), problem.ranks);
  RETURN_IF_ERROR(CheckLengths(plan, problem));
  if (request->strategy != defaults.strategy && request->strategy != kLayoutStrategy) {
    return absl::InvalidArgumentError(absl::StrCat(
        "strategy: expected none, since the layout is given, found ", request->strategy));
  }
  if (problem.slack_percent != defaults.problem.slack_percent &&
      problem.slack_percent != plan->slack_percent()) {
    return Differs("slack", plan->slack_percent(), problem.slack_percent);
  }
  RETURN_IF_ERROR(CheckRowOrder(plan));
  problem.slack_percent = plan->slack_percent();
  request->strategy = kLayoutStrategy;
  request->layout = PlacementOf(plan);
  return absl::OkStatus();
}

}  // namespace flashcp

// Keeps placement, incremental cost and documents of each rank in step while documents change.

#include "compiler/solver/search_state.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

// Ranks of the segments, each once, rising.
std::vector<int> RanksOf(const std::vector<Segment>& segments) {
  std::vector<int> ranks;
  for (const Segment& segment : segments) ranks.push_back(segment.rank);
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

}  // namespace

SearchState::SearchState(const Problem& problem, Placement placement)
    : problem_(problem),
      token_cap_(problem.TokenCap()),
      placement_(std::move(placement)),
      cost_(problem),
      documents_of_(problem.ranks),
      visited_(problem.ranks) {
  for (size_t d = 0; d < placement_.documents.size(); ++d) {
    cost_.Replace(problem.documents[d], {}, placement_.documents[d]);
    for (int rank : RanksOf(placement_.documents[d])) {
      documents_of_[rank].push_back(static_cast<int>(d));
    }
  }
}

SearchState::Outcome SearchState::Try(const std::vector<DocumentChange>& changes, int rank,
                                      int other) {
  FindTouched(changes);
  cost_.Mark(touched_);
  for (const DocumentChange& change : changes) {
    cost_.Replace(problem_.documents[change.document], placement_.documents[change.document],
                  change.segments);
  }
  Outcome outcome;
  double rank_us = cost_.RankUs(rank);
  double other_us = cost_.RankUs(other);
  outcome.larger_us = std::max(rank_us, other_us);
  outcome.sum_us = rank_us + other_us;
  for (int touched : touched_) {
    outcome.touched_us = std::max(outcome.touched_us, cost_.RankUs(touched));
    outcome.slowest.Raise(cost_.Passes(touched));
  }
  cost_.Rollback();
  return outcome;
}

void SearchState::FindTouched(const std::vector<DocumentChange>& changes) {
  ++round_;
  touched_.clear();
  auto visit = [&](const std::vector<Segment>& segments) {
    for (const Segment& segment : segments) {
      if (visited_[segment.rank] == round_) continue;
      visited_[segment.rank] = round_;
      touched_.push_back(segment.rank);
    }
  };
  for (const DocumentChange& change : changes) {
    visit(placement_.documents[change.document]);
    visit(change.segments);
  }
}

void SearchState::Apply(const DocumentChange& change) {
  const int d = change.document;
  std::vector<Segment>& segments = placement_.documents[d];
  cost_.Replace(problem_.documents[d], segments, change.segments);
  for (int rank : RanksOf(segments)) {
    std::vector<int>& documents = documents_of_[rank];
    documents.erase(std::lower_bound(documents.begin(), documents.end(), d));
  }
  kept_.push_back({d, std::move(segments)});
  segments = change.segments;
  for (int rank : RanksOf(segments)) {
    std::vector<int>& documents = documents_of_[rank];
    documents.insert(std::lower_bound(documents.begin(), documents.end(), d), d);
  }
}

void SearchState::Keep() { kept_.clear(); }

void SearchState::Restore() {
  std::vector<DocumentChange> back = std::move(kept_);
  std::reverse(back.begin(), back.end());
  for (const DocumentChange& change : back) Apply(change);
  kept_.clear();
}

}  // namespace flashcp::solver

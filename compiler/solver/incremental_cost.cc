// Adds and takes back what the segments of one document cost each rank.
//
// Idea: a sweep over the document's positions (row_sweep.h) adds its rows, and takes them back
// later without the rest of the placement. Messages are counted for pairs of ranks, by runs of
// rows. Between two ranks whose segments stay, no run changes if the keys that segments see begin
// and end where segments or the document do: a change of two ranks, which is what the search tries,
// counts the runs from and to these alone.

#include "compiler/solver/incremental_cost.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

constexpr size_t kPair = 2;
constexpr int kNotNeeding = -1;

// Returns whether what segments see begins and ends where segments or the document do.
bool SeesWholeSegments(const Document& document) {
  const model::Band& band = document.mask.band();
  return (band.lower == 0 || SeesBackToStart(document)) &&
         (band.upper == 0 || SeesOnToEnd(document));
}

}  // namespace

IncrementalCost::IncrementalCost(const Problem& problem)
    : problem_(problem),
      timer_(problem),
      objective_(problem),
      transfers_(problem),
      ranks_(problem.ranks),
      messages_(static_cast<size_t>(problem.ranks) * problem.ranks),
      sweep_(problem),
      place_(problem.ranks, kNotNeeding) {}

void IncrementalCost::Replace(const Document& document, const std::vector<Segment>& before,
                              const std::vector<Segment>& after) {
  // Segments in both cost the same compute.
  changed_.clear();
  auto old = before.begin();
  auto now = after.begin();
  while (old != before.end() || now != after.end()) {
    bool behind = old == before.end() || (now != after.end() && now->begin < old->begin);
    if (behind) {
      ChangeCompute(document, *now++, +1);
    } else if (now != after.end() && now->begin == old->begin && now->end == old->end &&
               now->rank == old->rank) {
      ++old;
      ++now;
    } else {
      ChangeCompute(document, *old++, -1);
    }
  }
  steps_ += before.size() + after.size();
  if (problem_.exchange != Exchange::kNeeded) return;
  pair_ = changed_.size() <= kPair && SeesWholeSegments(document);
  if (before.size() > 1) ChangeTraffic(document, before, -1);
  if (after.size() > 1) ChangeTraffic(document, after, +1);
}

void IncrementalCost::Mark(const std::vector<int>& ranks) {
  marked_ = true;
  for (int rank : ranks) saved_.emplace_back(rank, ranks_[rank]);
}

void IncrementalCost::Rollback() {
  for (const auto& [rank, before] : saved_) ranks_[rank] = before;
  for (const auto& [pair, sign] : message_log_) messages_[pair] -= sign;
  steps_ += saved_.size() + message_log_.size() / 4;
  saved_.clear();
  message_log_.clear();
  marked_ = false;
}

void IncrementalCost::ChangeCompute(const Document& document, const Segment& segment, int sign) {
  ComputeTime time = timer_.Time(document, segment.begin, segment.end);
  Rank& rank = ranks_[segment.rank];
  rank.compute.forward_us += sign * time.forward_us;
  rank.compute.backward_us += sign * time.backward_us;
  rank.tokens += sign * (segment.end - segment.begin);
  bool known = std::find(changed_.begin(), changed_.end(), segment.rank) != changed_.end();
  if (!known && changed_.size() <= kPair) changed_.push_back(segment.rank);
}

void IncrementalCost::ChangeTraffic(const Document& document, const std::vector<Segment>& segments,
                                    int sign) {
  sign_ = sign;
  sweep_.Run(document, segments, sign, *this);
  steps_ += 2 * segments.size();
}

void IncrementalCost::Open(int rank) {
  place_[rank] = static_cast<int>(needing_.size());
  needing_.push_back(rank);
}

void IncrementalCost::Close(int rank) {
  const int last = needing_.back();
  needing_[place_[rank]] = last;
  place_[last] = place_[rank];
  place_[rank] = kNotNeeding;
  needing_.pop_back();
}

void IncrementalCost::Send(int owner, int64_t) {
  if (pair_ && std::find(changed_.begin(), changed_.end(), owner) == changed_.end()) {
    for (int rank : changed_) {
      if (place_[rank] != kNotNeeding) CountMessage(owner, rank);
    }
    return;
  }
  steps_ += needing_.size();
  for (int rank : needing_) {
    if (rank != owner) CountMessage(owner, rank);
  }
}

void IncrementalCost::CountMessage(int from, int to) {
  const size_t pair = static_cast<size_t>(from) * problem_.ranks + to;
  if (marked_) message_log_.emplace_back(pair, sign_);
  int& runs = messages_[pair];
  const int before = runs;
  runs += sign_;
  if (before != 0 && runs != 0) return;
  const bool in_node = sweep_.SameNode(from, to);
  ranks_[from].traffic.Link(in_node).destinations += sign_;
  ranks_[to].traffic.Link(in_node).sources += sign_;
}

double IncrementalCost::RankUs(int rank) const {
  return objective_.RankUs(ranks_[rank].compute, transfers_.Time(ranks_[rank].traffic));
}

PassTime IncrementalCost::Passes(int rank) const {
  const ComputeTime& compute = ranks_[rank].compute;
  const TransferTime transfer = transfers_.Time(ranks_[rank].traffic);
  return {std::max(compute.forward_us, transfer.forward_us),
          std::max(compute.backward_us, transfer.backward_us)};
}

PassTime IncrementalCost::Slowest() const {
  PassTime slowest;
  for (int rank = 0; rank < problem_.ranks; ++rank) slowest.Raise(Passes(rank));
  return slowest;
}

double IncrementalCost::ObjectiveUs() const {
  double slowest = 0;
  for (int rank = 0; rank < problem_.ranks; ++rank) slowest = std::max(slowest, RankUs(rank));
  return slowest;
}

}  // namespace flashcp::solver

// Decides what changes for which rank when the segments of one document change.
//
// Idea: the same sweep over a document's positions as traffic.cc, but every rank that needs a run
// of rows is visited, so that the run can be taken back later without the rest of the placement.

#include "compiler/solver/ledger.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

constexpr int kInNode = 0;
constexpr int kBetweenNodes = 1;

}  // namespace

double PlanningUs(double compute_us, double transfer_us) {
  return std::max(compute_us, transfer_us) + kExposedShare * std::min(compute_us, transfer_us);
}

double PlanningStepUs(const PlacementCost& cost) {
  double slowest = 0;
  for (const RankCost& rank : cost.ranks) {
    slowest =
        std::max(slowest, PlanningUs(rank.compute_forward_us, rank.transfer_forward_us) +
                              PlanningUs(rank.compute_backward_us, rank.transfer_backward_us));
  }
  return slowest;
}

Ledger::Ledger(const Problem& problem)
    : problem_(problem),
      timer_(problem),
      transfers_(problem),
      one_node_(problem.ranks <= problem.cluster.ranks_per_node),
      ranks_(problem.ranks),
      node_(problem.ranks),
      opened_(problem.ranks),
      place_(problem.ranks) {
  for (int rank = 0; rank < problem.ranks; ++rank) {
    node_[rank] = rank / problem.cluster.ranks_per_node;
  }
  node_open_.resize(node_.back() + 1);
  messages_.resize(static_cast<size_t>(problem.ranks) * problem.ranks);
}

void Ledger::Replace(const Document& document, const std::vector<Segment>& before,
                     const std::vector<Segment>& after) {
  // Segments in both cost the same compute.
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
  steps_ += 2 * (before.size() + after.size());
  if (problem_.exchange != Exchange::kNeeded) return;
  if (before.size() > 1) ChangeTraffic(document, before, -1);
  if (after.size() > 1) ChangeTraffic(document, after, +1);
}

void Ledger::Mark(const std::vector<int>& ranks) {
  marked_ = true;
  for (int rank : ranks) saved_.emplace_back(rank, ranks_[rank]);
}

void Ledger::Rollback() {
  for (const auto& [rank, before] : saved_) ranks_[rank] = before;
  for (const auto& [pair, sign] : message_log_) messages_[pair] -= sign;
  steps_ += saved_.size() + message_log_.size() / 4;
  saved_.clear();
  message_log_.clear();
  marked_ = false;
}

void Ledger::ChangeCompute(const Document& document, const Segment& segment, int sign) {
  ComputeTime time = timer_.Time(document, segment.begin, segment.end);
  Rank& rank = ranks_[segment.rank];
  rank.forward_us += sign * time.forward_us;
  rank.backward_us += sign * time.backward_us;
  rank.tokens += sign * (segment.end - segment.begin);
}

void Ledger::ChangeTraffic(const Document& document, const std::vector<Segment>& segments,
                           int sign) {
  keys_.clear();
  for (const Segment& segment : segments) {
    keys_.push_back(KeysNeeded(document, segment.begin, segment.end));
  }
  size_t opened = 0;
  size_t closed = 0;
  for (const Segment& owner : segments) {
    for (int64_t position = owner.begin; position < owner.end;) {
      while (opened < keys_.size() && keys_[opened].begin <= position) {
        Open(segments[opened++].rank);
      }
      while (keys_[closed].end <= position) Close(segments[closed++].rank);
      int64_t next = std::min(owner.end, keys_[closed].end);
      if (opened < keys_.size()) next = std::min(next, keys_[opened].begin);
      Send(owner.rank, next - position, sign);
      position = next;
    }
  }
  while (closed < segments.size()) Close(segments[closed++].rank);
}

void Ledger::Open(int rank) {
  if (opened_[rank]++ > 0) return;
  place_[rank] = static_cast<int>(needing_.size());
  needing_.push_back(rank);
  node_open_[node_[rank]] += 1;
}

void Ledger::Close(int rank) {
  if (--opened_[rank] > 0) return;
  int last = needing_.back();
  needing_[place_[rank]] = last;
  place_[last] = place_[rank];
  needing_.pop_back();
  node_open_[node_[rank]] -= 1;
}

// The owner's next rows go to all ranks that need them now.
void Ledger::Send(int owner, int64_t rows, int sign) {
  const int64_t units = sign * rows * kRowUnits;
  const int node = node_[owner];
  Rank& from = ranks_[owner];
  steps_ += needing_.size();
  for (int rank : needing_) {
    if (rank == owner) continue;
    const bool in_node = one_node_ || node_[rank] == node;
    if (in_node) {
      ranks_[rank].received[kInNode] += units;
      from.sent[kInNode] += units;
    } else {
      SendIntoNode(owner, rank, units, sign);
    }
    CountMessage(owner, rank, in_node, sign);
  }
}

// The ranks of another node that need the rows each receive an even share over the network and pass
// it on to the others.
void Ledger::SendIntoNode(int owner, int rank, int64_t units, int sign) {
  const int sharing = node_open_[node_[rank]];
  const int64_t share = sharing == 1 ? units : sign * (sign * units / sharing);
  Rank& to = ranks_[rank];
  to.received[kBetweenNodes] += share;
  ranks_[owner].sent[kBetweenNodes] += share;
  to.received[kInNode] += units - share;
  to.sent[kInNode] += share * (sharing - 1);
}

void Ledger::CountMessage(int from, int to, bool in_node, int sign) {
  const size_t pair = static_cast<size_t>(from) * problem_.ranks + to;
  if (marked_) message_log_.emplace_back(pair, sign);
  int& runs = messages_[pair];
  int before = runs;
  runs += sign;
  if (before != 0 && runs != 0) return;
  const int link = in_node ? kInNode : kBetweenNodes;
  ranks_[from].destinations[link] += sign;
  ranks_[to].sources[link] += sign;
}

TransferTime Ledger::Transfers(const Rank& rank) const {
  auto link = [&](int i) {
    return LinkTraffic{static_cast<double>(rank.received[i]) / kRowUnits,
                       static_cast<double>(rank.sent[i]) / kRowUnits, rank.sources[i],
                       rank.destinations[i]};
  };
  return transfers_.Time(link(kInNode), link(kBetweenNodes));
}

double Ledger::RankUs(int rank) const {
  TransferTime transfer = Transfers(ranks_[rank]);
  return PlanningUs(ranks_[rank].forward_us, transfer.forward_us) +
         PlanningUs(ranks_[rank].backward_us, transfer.backward_us);
}

double Ledger::StepUs() const {
  double forward_us = 0;
  double backward_us = 0;
  for (const Rank& rank : ranks_) {
    TransferTime transfer = Transfers(rank);
    forward_us = std::max({forward_us, rank.forward_us, transfer.forward_us});
    backward_us = std::max({backward_us, rank.backward_us, transfer.backward_us});
  }
  return forward_us + backward_us;
}

double Ledger::PlanningStepUs() const {
  double slowest = 0;
  for (int rank = 0; rank < problem_.ranks; ++rank) slowest = std::max(slowest, RankUs(rank));
  return slowest;
}

}  // namespace flashcp::solver

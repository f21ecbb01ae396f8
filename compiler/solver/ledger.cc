// Decides what changes for which rank when the segments of one document change.
//
// Idea: rows come from the same sweep over a document's positions as in traffic.cc, in whole units,
// so that they can be taken back later without the rest of the placement. Messages are counted for
// pairs of ranks, by runs of rows. Between two ranks whose segments stay, no run changes unless a
// window opens or ends inside a segment: a change of two ranks, which is what the search tries,
// counts the runs from and to these alone.

#include "compiler/solver/ledger.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

constexpr int kInNode = 0;
constexpr int kBetweenNodes = 1;
constexpr size_t kPair = 2;

}  // namespace

Ledger::Ledger(const Problem& problem)
    : problem_(problem),
      timer_(problem),
      objective_(problem),
      transfers_(problem),
      ranks_(problem.ranks),
      node_(problem.ranks),
      opened_(problem.ranks),
      place_(problem.ranks) {
  for (int rank = 0; rank < problem.ranks; ++rank) {
    node_[rank] = rank / problem.cluster.ranks_per_node;
  }
  nodes_.resize(node_.back() + 1);
  messages_.resize(static_cast<size_t>(problem.ranks) * problem.ranks);
}

void Ledger::Replace(const Document& document, const std::vector<Segment>& before,
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
  pair_ = changed_.size() <= kPair && document.mask.kind != MaskKind::kWindow;
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
  rank.compute.forward_us += sign * time.forward_us;
  rank.compute.backward_us += sign * time.backward_us;
  rank.tokens += sign * (segment.end - segment.begin);
  bool known = std::find(changed_.begin(), changed_.end(), segment.rank) != changed_.end();
  if (!known && changed_.size() <= kPair) changed_.push_back(segment.rank);
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
        Open(segments[opened++].rank, position, sign);
      }
      while (keys_[closed].end <= position) Close(segments[closed++].rank, position, sign);
      int64_t next = std::min(owner.end, keys_[closed].end);
      if (opened < keys_.size()) next = std::min(next, keys_[opened].begin);
      Send(owner.rank, next - position, sign);
      position = next;
    }
  }
  while (closed < segments.size()) Close(segments[closed++].rank, document.length, sign);
  for (const Segment& segment : segments) nodes_[node_[segment.rank]] = Node();
  steps_ += 2 * segments.size();
}

void Ledger::Open(int rank, int64_t position, int sign) {
  if (opened_[rank]++ > 0) return;
  place_[rank] = static_cast<int>(needing_.size());
  needing_.push_back(rank);
  Node& node = nodes_[node_[rank]];
  Advance(node, position);
  open_nodes_ += node.open == 0;
  node.open += 1;
  Account(rank, position, -sign);
}

void Ledger::Close(int rank, int64_t position, int sign) {
  if (--opened_[rank] > 0) return;
  int last = needing_.back();
  needing_[place_[rank]] = last;
  place_[last] = place_[rank];
  needing_.pop_back();
  Node& node = nodes_[node_[rank]];
  Advance(node, position);
  Account(rank, position, sign);
  node.open -= 1;
  open_nodes_ -= node.open == 0;
}

// Shares the rows of other nodes since the last change of the node's needing ranks among these:
// each receives an even share over the network and passes it on to the others.
void Ledger::Advance(Node& node, int64_t position) {
  const int64_t foreign = position - node.owned;
  if (node.open > 0) node.shares += (foreign - node.foreign_seen) * kRowUnits / node.open;
  node.foreign_seen = foreign;
}

// What a rank with a segment open from the start would have exchanged so far.
void Ledger::Account(int rank, int64_t position, int sign) {
  const Node& node = nodes_[node_[rank]];
  Rank& entry = ranks_[rank];
  entry.received[kInNode] += sign * (position * kRowUnits - node.shares);
  entry.received[kBetweenNodes] += sign * node.shares;
  entry.sent[kInNode] += sign * ((position - node.owned) * kRowUnits - node.shares);
}

// The owner's next rows go to all ranks that need them now. It is one of these: a mask shows every
// query its own key.
void Ledger::Send(int owner, int64_t rows, int sign) {
  const int64_t units = sign * rows * kRowUnits;
  Node& node = nodes_[node_[owner]];
  Rank& from = ranks_[owner];
  from.sent[kInNode] += units * (node.open - 1);
  from.sent[kBetweenNodes] += units * (open_nodes_ - 1);
  from.received[kInNode] -= units;
  node.owned += rows;
  CountMessages(owner, sign);
}

void Ledger::CountMessages(int owner, int sign) {
  if (pair_ && std::find(changed_.begin(), changed_.end(), owner) == changed_.end()) {
    for (int rank : changed_) {
      if (opened_[rank] > 0) CountMessage(owner, rank, sign);
    }
    return;
  }
  steps_ += needing_.size();
  for (int rank : needing_) {
    if (rank != owner) CountMessage(owner, rank, sign);
  }
}

void Ledger::CountMessage(int from, int to, int sign) {
  const size_t pair = static_cast<size_t>(from) * problem_.ranks + to;
  if (marked_) message_log_.emplace_back(pair, sign);
  int& runs = messages_[pair];
  int before = runs;
  runs += sign;
  if (before != 0 && runs != 0) return;
  const int link = node_[from] == node_[to] ? kInNode : kBetweenNodes;
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
  return objective_.RankUs(ranks_[rank].compute, Transfers(ranks_[rank]));
}

double Ledger::StepUs() const {
  double forward_us = 0;
  double backward_us = 0;
  for (const Rank& rank : ranks_) {
    TransferTime transfer = Transfers(rank);
    forward_us = std::max({forward_us, rank.compute.forward_us, transfer.forward_us});
    backward_us = std::max({backward_us, rank.compute.backward_us, transfer.backward_us});
  }
  return forward_us + backward_us;
}

double Ledger::ObjectiveUs() const {
  double slowest = 0;
  for (int rank = 0; rank < problem_.ranks; ++rank) slowest = std::max(slowest, RankUs(rank));
  return slowest;
}

}  // namespace flashcp::solver

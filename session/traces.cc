// Compares the clocks of hosts by all-gathers, then sends each rank's spans to rank 0.

#include "session/traces.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>

#include "support/status_macros.h"

namespace flashcp::session {
namespace {

constexpr int kClockRounds = 8;

// Returns how far the clock of this rank is ahead of the clock of rank 0. No rank leaves an
// all-gather before all have entered it: each round bounds the difference from both sides. Clocks
// that may be equal count as equal.
absl::StatusOr<int64_t> ClockOffset(Transport* transport, absl::Duration timeout) {
  int64_t least = std::numeric_limits<int64_t>::min();
  int64_t most = std::numeric_limits<int64_t>::max();
  for (int round = 0; round < kClockRounds; ++round) {
    const int64_t entered = TraceNow();
    ASSIGN_OR_RETURN(std::vector<uint64_t> all_entered, transport->AllGather(entered, timeout));
    const int64_t left = TraceNow();
    ASSIGN_OR_RETURN(std::vector<uint64_t> all_left, transport->AllGather(left, timeout));
    least = std::max(least, entered - static_cast<int64_t>(all_left[0]));
    most = std::min(most, left - static_cast<int64_t>(all_entered[0]));
  }
  return least <= 0 && 0 <= most ? 0 : least + (most - least) / 2;
}

// The name of a host with zeros behind it, of one size on all ranks.
using HostName = std::array<char, 256>;

HostName ThisHost() {
  HostName name = {};
  if (gethostname(name.data(), name.size() - 1) != 0) return {"unknown"};
  return name;
}

// Sends the spans of one rank, and its host, to rank 0.
absl::Status Move(Message::Direction direction, int peer, std::vector<TraceSpan>* spans,
                  HostName* host, Transport* transport, absl::Duration timeout) {
  const Message message = {direction,
                           peer,
                           /*tag=*/0,
                           {{0, 0, host->size()}, {1, 0, spans->size() * sizeof(TraceSpan)}}};
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare({message}));
  char* const bases[] = {host->data(), reinterpret_cast<char*>(spans->data())};
  RETURN_IF_ERROR(exchange->Start(bases, nullptr));
  return exchange->Wait(timeout);
}

}  // namespace

absl::StatusOr<std::vector<HostTrace>> GatherTraces(const Plan& plan, const RankTrace& local,
                                                    Transport* transport, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const int64_t offset, ClockOffset(transport, timeout));
  std::vector<TraceSpan> spans = local.forward;
  spans.insert(spans.end(), local.backward.begin(), local.backward.end());
  for (TraceSpan& span : spans) span.begin_ns -= offset, span.end_ns -= offset;
  HostName host = ThisHost();
  std::vector<HostTrace> traces;
  if (transport->rank() != 0) {
    RETURN_IF_ERROR(Move(Message::Direction::kSend, 0, &spans, &host, transport, timeout));
    return traces;
  }
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
    const size_t rounds = plan->head_groups();
    const size_t forward = rounds * Items(rank_plan.forward()->instructions()).size();
    const size_t backward =
        local.backward.empty() ? 0 : rounds * Items(rank_plan.backward()->instructions()).size();
    if (rank > 0) {
      spans.resize(forward + backward);
      RETURN_IF_ERROR(Move(Message::Direction::kReceive, rank, &spans, &host, transport, timeout));
    }
    traces.push_back(
        {{{spans.begin(), spans.begin() + forward}, {spans.begin() + forward, spans.end()}},
         host.data()});
  }
  return traces;
}

}  // namespace flashcp::session

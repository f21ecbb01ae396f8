// Decides what the rows of remote buffers hold: rows received from their owners, and rows that
// other ranks forward.
//
// Rows are received once (P13), so that what a row holds does not depend on time: for each rank it
// is found by sorting all that the rank receives, O(S log S). Rows that are sent on must be known
// before: one pass over all exchanges, in an order in which they may start, finds these alone.

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

// What the rows of one buffer of a sender hold when it posts an exchange, for one strip of heads.
class SenderRows {
 public:
  SenderRows(const Traffic& traffic, const RankView& rank, uint32_t buffer, uint32_t group,
             uint32_t exchange)
      : arrivals_(traffic.arrivals[rank.rank]), exchange_(exchange) {
    if (IsRemote(rank.buffers[buffer].kind())) {
      forwarded_ = &traffic.forwarded[rank.rank][buffer][group];
      forwarded_cursor_ = forwarded_->First();
    } else {
      own_ = &traffic.caller_rows[rank.rank];
    }
  }

  // The run that holds `row`, or null if an exchange may not have brought it by then.
  const RowRun* Find(uint64_t row) {
    if (own_ != nullptr) return own_->Find(row, &own_cursor_);
    const RowRun* run = forwarded_->Find(row, &forwarded_cursor_);
    if (run == nullptr) return nullptr;
    constexpr int kCommunication = static_cast<int>(fbs::Stream::communication);
    return arrivals_[run->exchange].first[kCommunication] <= exchange_ ? run : nullptr;
  }

 private:
  const std::vector<Arrival>& arrivals_;
  const uint32_t exchange_;
  const RowMap* own_ = nullptr;
  size_t own_cursor_ = 0;
  const ForwardedRows* forwarded_ = nullptr;
  ForwardedRows::Cursor forwarded_cursor_;
};

// Calls emit(source row, target row, count) for the runs of rows that two lists of slices, of as
// many rows, pair up.
template <typename Emit>
void ZipSlices(absl::Span<const fbs::Slice> source, absl::Span<const fbs::Slice> target,
               const Emit& emit) {
  uint32_t source_used = 0;
  uint32_t target_used = 0;
  for (size_t s = 0, t = 0; s < source.size();) {
    uint32_t count = std::min(source[s].count() - source_used, target[t].count() - target_used);
    emit(source[s].begin() + source_used, target[t].begin() + target_used, count);
    source_used += count;
    target_used += count;
    if (source_used == source[s].count()) {
      ++s;
      source_used = 0;
    }
    if (target_used == target[t].count()) {
      ++t;
      target_used = 0;
    }
  }
}

// Calls emit(run) for the rows that one part of a message delivers; their exchange is left open.
// Stops at the first row that the sender does not have, and returns it; -1 if there is none.
template <typename Emit>
int64_t DeliverRuns(SenderRows& rows, absl::Span<const fbs::Slice> sent,
                    absl::Span<const fbs::Slice> received, const Emit& emit) {
  int64_t missing = -1;
  ZipSlices(sent, received, [&](uint32_t source, uint32_t target, uint32_t count) {
    while (count > 0 && missing < 0) {
      const RowRun* run = rows.Find(source);
      if (run == nullptr) {
        missing = source;
        return;
      }
      uint32_t skip = source - run->row;
      uint32_t step = std::min(count, run->count - skip);
      emit(RowRun{target, step, run->document, run->position + skip, 0});
      source += step;
      target += step;
      count -= step;
    }
  });
  return missing;
}

// One message, seen from both sides.
struct Delivery {
  const RankView& source;
  uint32_t send;      // message of the source
  uint32_t exchange;  // instruction of the source that posts it, or one after it
  const RankView& target;
  uint32_t receive;  // message of the target
};

// Calls emit(run, buffer, group) for the rows that a message delivers, as runs of tokens in buffers
// of its receiver, for each strip of heads. P24 where rows of the sender are not there in time.
template <typename Emit>
absl::Status Deliver(const Traffic& traffic, const Delivery& delivery, const Emit& emit) {
  const RankView& source = delivery.source;
  const RankView& target = delivery.target;
  const fbs::Part* sent = source.PartsOf(source.messages[delivery.send]).data();
  for (const fbs::Part& part : target.PartsOf(target.messages[delivery.receive])) {
    auto [first, last] = traffic.strips.Range(part.head_begin(), part.head_end());
    for (uint32_t strip = first; strip < last; ++strip) {
      SenderRows rows(traffic, source, sent->buffer(), strip, delivery.exchange);
      int64_t missing = DeliverRuns(rows, source.SlicesOf(*sent), target.SlicesOf(part),
                                    [&](const RowRun& run) { emit(run, part.buffer(), strip); });
      if (missing < 0) continue;
      return Broken("P24", "rank ", source.rank, ", message ", delivery.send, ", instruction ",
                    delivery.exchange, ": sends row ", missing, " of buffer ", sent->buffer(),
                    " on, without waiting for an exchange that brings it");
    }
    ++sent;
  }
  return absl::OkStatus();
}

absl::Status RowRepeats(const RankView& rank, uint64_t row, uint32_t buffer) {
  return Broken("P13", "rank ", rank.rank, ": row ", row, " of buffer ", buffer,
                " is received more than once");
}

// Ranges of the K/V heads that messages and tiles tell apart.
HeadStrips KeyHeadStrips(const PlanView& view) {
  HeadStrips strips(view.group.key_value());
  for (const RankView& rank : view.ranks) {
    for (const fbs::Part& part : rank.parts) {
      bool in_range =
          part.head_begin() < part.head_end() && part.head_end() <= view.group.key_value();
      if (in_range) strips.Add(part.head_begin(), part.head_end());
    }
    for (const fbs::Tile& tile : rank.tiles) {
      if (tile.head_begin() >= tile.head_end() || tile.head_end() > view.group.query()) continue;
      strips.Add(tile.head_begin() / view.QueriesPerKey(),
                 (tile.head_end() - 1) / view.QueriesPerKey() + 1);
    }
  }
  strips.Finish();
  return strips;
}

// P14 in total: no rank receives more than the K and V of all tokens in one round. This bounds the
// memory that the rest of the check takes.
absl::Status CheckVolume(const PlanView& view, const RankView& rank) {
  uint64_t tokens = 0;
  for (const fbs::Document& document : view.documents) tokens += document.length();
  const uint64_t most =
      2 * tokens * view.group.key_value() * view.group.dim() * DTypeBytes(view.plan.dtype());
  uint64_t received = 0;
  for (const fbs::Message& message : rank.messages) {
    if (IsSend(message)) continue;
    if (message.bytes() > most - received) {
      return Broken("P14", "rank ", rank.rank, ": receives more than the ", most,
                    " bytes that K and V of all tokens have, for one group of heads");
    }
    received += message.bytes();
  }
  return absl::OkStatus();
}

// Finds Traffic::forwarded, where any rank forwards rows. Time and memory O(log S) for each run of
// rows that is sent on.
class ForwardFollower {
 public:
  ForwardFollower(const PlanView& view, Traffic* traffic) : view_(view), traffic_(*traffic) {}

  absl::Status Run(const std::vector<InstructionId>& order) {
    traffic_.forwarded.resize(view_.ranks.size());
    for (const RankView& rank : view_.ranks) NoteWanted(rank);
    if (!any_) return absl::OkStatus();
    for (const RankView& rank : view_.ranks) exchanges_.push_back(ExchangesOf(rank));
    for (const InstructionId& id : order) {
      const RankView& rank = view_.ranks[id.rank];
      const fbs::Instruction& exchange = rank.instructions[id.index];
      for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
        if (IsSend(rank.messages[m])) RETURN_IF_ERROR(FollowMessage(rank, id.index, m));
      }
    }
    return absl::OkStatus();
  }

 private:
  // Notes the rows that a rank sends on.
  void NoteWanted(const RankView& rank) {
    std::vector<std::vector<ForwardedRows>>& buffers = traffic_.forwarded[rank.rank];
    for (const fbs::Message& message : rank.messages) {
      if (!IsSend(message)) continue;
      for (const fbs::Part& part : rank.PartsOf(message)) {
        if (!IsRemote(rank.buffers[part.buffer()].kind())) continue;
        any_ = true;
        buffers.resize(rank.buffers.size());
        buffers[part.buffer()].resize(traffic_.strips.size());
        auto [first, last] = traffic_.strips.Range(part.head_begin(), part.head_end());
        for (uint32_t strip = first; strip < last; ++strip) {
          for (const fbs::Slice& slice : rank.SlicesOf(part)) {
            buffers[part.buffer()][strip].Want(slice.begin(),
                                               uint64_t{slice.begin()} + slice.count());
          }
        }
      }
    }
    for (std::vector<ForwardedRows>& strips : buffers) {
      for (ForwardedRows& rows : strips) rows.FinishWanted();
    }
  }

  // P24 of one send, and what it brings that its receiver forwards.
  absl::Status FollowMessage(const RankView& source, uint32_t exchange, uint32_t send) {
    const RankView& target = view_.ranks[source.messages[send].peer()];
    const uint32_t receive = traffic_.matches[source.rank][send];
    std::vector<std::vector<ForwardedRows>>& forwarded = traffic_.forwarded[target.rank];
    absl::Status repeats;
    RETURN_IF_ERROR(Deliver(traffic_, {source, send, exchange, target, receive},
                            [&](RowRun run, uint32_t buffer, uint32_t group) {
                              if (forwarded.empty() || forwarded[buffer].empty()) return;
                              run.exchange = exchanges_[target.rank][receive];
                              if (forwarded[buffer][group].Add(run)) return;
                              repeats = RowRepeats(target, run.row, buffer);
                            }));
    return repeats;
  }

  const PlanView& view_;
  Traffic& traffic_;
  bool any_ = false;                              // rows are forwarded at all
  std::vector<std::vector<uint32_t>> exchanges_;  // by rank and message
};

// P14 for one tensor and strip of heads: sorts what all buffers hold by token.
absl::Status CheckArrivesOnce(const RankView& rank, const RemoteRows& remote, uint32_t group,
                              bool keys) {
  std::vector<std::tuple<uint32_t, uint32_t, uint32_t>> tokens;  // document, position, count
  for (size_t b = 0; b < rank.buffers.size(); ++b) {
    fbs::BufferKind kind = rank.buffers[b].kind();
    if (!(keys ? IsRemoteKey(kind) : IsRemoteValue(kind))) continue;
    for (const RowRun& run : remote[b][group].runs()) {
      tokens.emplace_back(run.document, run.position, run.count);
    }
  }
  std::sort(tokens.begin(), tokens.end());
  for (size_t i = 1; i < tokens.size(); ++i) {
    auto [before, begin, count] = tokens[i - 1];
    auto [document, position, unused] = tokens[i];
    if (document == before && position < uint64_t{begin} + count) {
      return Broken("P14", "rank ", rank.rank, ": receives the ", keys ? "key" : "value",
                    " of token ", position, " of document ", document, " more than once");
    }
  }
  return absl::OkStatus();
}

// P13, and P14 token by token.
absl::Status FinishRows(const RankView& rank, uint32_t strips, RemoteRows* remote) {
  for (size_t b = 0; b < rank.buffers.size(); ++b) {
    for (RowMap& rows : (*remote)[b]) {
      uint64_t repeated;
      if (!rows.Finish(&repeated)) return RowRepeats(rank, repeated, b);
    }
  }
  for (uint32_t strip = 0; strip < strips; ++strip) {
    RETURN_IF_ERROR(CheckArrivesOnce(rank, *remote, strip, /*keys=*/true));
    RETURN_IF_ERROR(CheckArrivesOnce(rank, *remote, strip, /*keys=*/false));
  }
  return absl::OkStatus();
}

// Appends the exchanges that brought rows [begin, end), which `relay.sent` sends on.
void NoteRelays(const ForwardedRows& rows, uint64_t begin, uint64_t end, Relay relay,
                std::vector<Relay>* relays) {
  ForwardedRows::Cursor cursor = rows.First();
  while (begin < end) {
    const RowRun* run = rows.Find(begin, &cursor);
    relay.brought = run->exchange;
    if (relays->empty() || relays->back().Key() != relay.Key()) relays->push_back(relay);
    begin = run->end();
  }
}

// FindRelays for one send.
void NoteRelays(const Traffic& traffic, const RankView& rank, uint32_t exchange,
                const fbs::Message& message, std::vector<Relay>* relays) {
  for (const fbs::Part& part : rank.PartsOf(message)) {
    if (!IsRemote(rank.buffers[part.buffer()].kind())) continue;
    auto [first, last] = traffic.strips.Range(part.head_begin(), part.head_end());
    for (uint32_t strip = first; strip < last; ++strip) {
      const ForwardedRows& rows = traffic.forwarded[rank.rank][part.buffer()][strip];
      for (const fbs::Slice& slice : rank.SlicesOf(part)) {
        NoteRelays(rows, slice.begin(), uint64_t{slice.begin()} + slice.count(),
                   {0, exchange, part.saved()}, relays);
      }
    }
  }
}

}  // namespace

absl::StatusOr<Traffic> FollowTraffic(const PlanView& view, Matches matches,
                                      const std::vector<InstructionId>& order) {
  Traffic traffic = {std::move(matches), CallerRows(view), {}, KeyHeadStrips(view), {}};
  for (const RankView& rank : view.ranks) {
    RETURN_IF_ERROR(CheckVolume(view, rank));
    traffic.arrivals.push_back(FindArrivals(rank.forward(), /*rounds=*/1));
  }
  RETURN_IF_ERROR(ForwardFollower(view, &traffic).Run(order));
  return traffic;
}

std::vector<Relay> FindRelays(const Traffic& traffic, const RankView& rank) {
  std::vector<Relay> relays;
  if (traffic.forwarded[rank.rank].empty()) return relays;
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& exchange = rank.instructions[i];
    if (exchange.opcode() != fbs::Opcode::exchange) continue;
    for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
      if (IsSend(rank.messages[m])) NoteRelays(traffic, rank, i, rank.messages[m], &relays);
    }
  }
  std::sort(relays.begin(), relays.end(),
            [](const Relay& a, const Relay& b) { return a.Key() < b.Key(); });
  relays.erase(std::unique(relays.begin(), relays.end(),
                           [](const Relay& a, const Relay& b) { return a.Key() == b.Key(); }),
               relays.end());
  return relays;
}

absl::StatusOr<RemoteRows> DeliverRows(const PlanView& view, const Traffic& traffic,
                                       uint32_t rank_index) {
  const RankView& rank = view.ranks[rank_index];
  RemoteRows remote(rank.buffers.size());
  for (size_t b = 0; b < rank.buffers.size(); ++b) {
    if (IsRemote(rank.buffers[b].kind())) remote[b].resize(traffic.strips.size());
  }
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (instruction.opcode() != fbs::Opcode::exchange) continue;
    const uint32_t group = traffic.arrivals[rank_index][i].group;
    for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
      if (IsSend(rank.messages[m])) continue;
      const RankView& source = view.ranks[rank.messages[m].peer()];
      // P24 holds: the end of the program is as good as the exchange that posts the message.
      const uint32_t end = source.instructions.size();
      RETURN_IF_ERROR(Deliver(traffic, {source, traffic.matches[rank_index][m], end, rank, m},
                              [&](RowRun run, uint32_t buffer, uint32_t strip) {
                                run.exchange = group;
                                remote[buffer][strip].Add(run);
                              }));
    }
  }
  RETURN_IF_ERROR(FinishRows(rank, traffic.strips.size(), &remote));
  return remote;
}

}  // namespace flashcp::verifier

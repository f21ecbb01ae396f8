// Decides whether the messages of all backward programs meet, and whether gradients leave a rank
// only when they are complete and reach their owner before it stores them.

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

constexpr uint32_t kNone = ReversedExchange::kNone;
constexpr int kCompute = static_cast<int>(fbs::Stream::compute);
constexpr int kCommunication = static_cast<int>(fbs::Stream::communication);

// One side of a message that a backward program starts.
struct Posted {
  uint32_t source;
  uint32_t target;
  uint32_t tag;
  InstructionId by;
  uint32_t meeting;  // among those of its rank

  std::pair<uint32_t, uint32_t> Pair() const { return {source, target}; }
};

// Calls emit(message, reversed) for the messages of an instruction of the communication stream, in
// order; `reversed` where gradients travel back.
template <typename Emit>
void ForEachMessage(const RankView& rank, const fbs::Instruction& instruction, const Emit& emit) {
  bool reversed = instruction.opcode() == fbs::Opcode::exchange_gradients;
  if (instruction.stream() != fbs::Stream::communication) return;
  for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
    if (reversed || !IsSaved(rank, rank.messages[m])) emit(rank.messages[m], reversed);
  }
}

// All sides of messages: sends and receives apart, by pair of ranks and in program order within.
struct Sides {
  std::vector<Posted> sends;
  std::vector<Posted> receives;
};

Sides CollectSides(const PlanView& view, Meetings* meetings) {
  Sides sides;
  for (const RankView& rank : view.ranks) {
    std::vector<Meeting>& mine = (*meetings)[rank.rank];
    for (uint32_t i = 0; i < rank.backward.instructions.size(); ++i) {
      ForEachMessage(
          rank, rank.backward.instructions[i], [&](const fbs::Message& m, bool reversed) {
            uint32_t tag = m.tag() | (reversed ? kGradientTag : 0);
            uint32_t meeting = mine.size();
            mine.push_back({i, {}});
            if (IsSend(m) != reversed) {
              sides.sends.push_back({rank.rank, m.peer(), tag, {rank.rank, i}, meeting});
            } else {
              sides.receives.push_back({m.peer(), rank.rank, tag, {rank.rank, i}, meeting});
            }
          });
    }
  }
  for (std::vector<Posted>* posted : {&sides.sends, &sides.receives}) {
    std::stable_sort(posted->begin(), posted->end(),
                     [](const Posted& a, const Posted& b) { return a.Pair() < b.Pair(); });
  }
  return sides;
}

std::string NameOf(uint32_t rank, uint32_t index) {
  return absl::StrCat("rank ", rank, ", backward instruction ", index);
}

// Where the tiles of one rank read its remote buffers: backward instructions, by buffer and K/V
// head.
struct Readers {
  uint32_t heads;
  std::vector<uint32_t> first;  // kNone if none reads
  std::vector<uint32_t> last;

  size_t At(uint32_t buffer, uint32_t head) const { return size_t{buffer} * heads + head; }
};

Readers FindReaders(const PlanView& view, const RankView& rank) {
  const uint32_t heads = view.group.key_value();
  const std::vector<uint32_t> none(rank.buffers.size() * heads, kNone);
  Readers readers = {heads, none, none};
  for (uint32_t i = 0; i < rank.backward.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.backward.instructions[i];
    if (instruction.opcode() != fbs::Opcode::attend_backward) continue;
    for (uint32_t t = instruction.begin(); t < instruction.end(); ++t) {
      const fbs::Tile& tile = rank.tiles[t];
      const uint32_t end = (tile.head_end() - 1) / view.QueriesPerKey() + 1;
      for (uint32_t buffer : {tile.key_buffer(), tile.value_buffer()}) {
        for (uint32_t head = tile.head_begin() / view.QueriesPerKey(); head < end; ++head) {
          const size_t at = readers.At(buffer, head);
          if (readers.first[at] == kNone) readers.first[at] = i;
          readers.last[at] = i;
        }
      }
    }
  }
  return readers;
}

// What the rules on the order of one backward program share.
struct Flow {
  const RankView& rank;
  const ReversedExchanges& reversed;
  std::vector<Relay> relays;
  std::vector<Arrival> arrivals;
  Readers readers;
};

// Calls check(part, head) for the heads of what a forward exchange receives, until an error.
template <typename Check>
absl::Status ForEachReceivedHead(const RankView& rank, uint32_t forward, const Check& check) {
  const fbs::Instruction& exchange = rank.instructions[forward];
  for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
    if (IsSend(rank.messages[m])) continue;
    for (const fbs::Part& part : rank.PartsOf(rank.messages[m])) {
      for (uint32_t head = part.head_begin(); head < part.head_end(); ++head) {
        RETURN_IF_ERROR(check(part, head));
      }
    }
  }
  return absl::OkStatus();
}

// P30 for the rows that one exchange re-sends.
absl::Status CheckResend(const Flow& flow, uint32_t forward) {
  const uint32_t resend = flow.reversed[forward].resend;
  return ForEachReceivedHead(
      flow.rank, forward, [&](const fbs::Part& part, uint32_t head) -> absl::Status {
        const uint32_t reader = flow.readers.first[flow.readers.At(part.buffer(), head)];
        if (part.saved() || reader == kNone) return absl::OkStatus();
        if (flow.arrivals[resend].first[kCompute] <= reader) return absl::OkStatus();
        return Broken("P30", NameOf(flow.rank.rank, reader), ": reads buffer ", part.buffer(),
                      " without waiting for backward instruction ", resend, ", which fills it");
      });
}

// P31 for one exchange: what it brings again is there, and its tiles have read it and added to what
// it packs.
absl::Status CheckPack(const Flow& flow, uint32_t forward) {
  const uint32_t pack = flow.reversed[forward].pack;
  const uint32_t resend = flow.reversed[forward].resend;
  return ForEachReceivedHead(
      flow.rank, forward, [&](const fbs::Part& part, uint32_t head) -> absl::Status {
        if (!part.saved() && flow.arrivals[resend].first[kCompute] > pack) {
          return Broken("P31", NameOf(flow.rank.rank, pack), ": packs gradients into buffer ",
                        part.buffer(), " without waiting for backward instruction ", resend,
                        ", which fills it");
        }
        const uint32_t reader = flow.readers.last[flow.readers.At(part.buffer(), head)];
        if (reader == kNone || reader < pack) return absl::OkStatus();
        return Broken("P31", NameOf(flow.rank.rank, pack), ": packs gradients of buffer ",
                      part.buffer(), " before backward instruction ", reader, " adds to them");
      });
}

// P30 and P31 where rows are sent on.
absl::Status CheckRelay(const Flow& flow, const Relay& relay) {
  const ReversedExchange& brought = flow.reversed[relay.brought];
  const ReversedExchange& sent = flow.reversed[relay.sent];
  if (!relay.saved && flow.arrivals[brought.resend].first[kCommunication] > sent.resend) {
    return Broken("P30", NameOf(flow.rank.rank, sent.resend),
                  ": sends rows on without waiting for backward instruction ", brought.resend,
                  ", which brings them");
  }
  if (brought.pack < sent.add) {
    return Broken("P31", NameOf(flow.rank.rank, brought.pack),
                  ": packs gradients before backward instruction ", sent.add, " adds to them");
  }
  if (!relay.saved && flow.arrivals[sent.resend].first[kCompute] > brought.pack) {
    return Broken("P31", NameOf(flow.rank.rank, brought.pack),
                  ": packs gradients without waiting for backward instruction ", sent.resend,
                  ", which sends their rows on");
  }
  return absl::OkStatus();
}

// Calls visit(buffer) for the remote and saved buffers whose sums a backward instruction clears,
// adds to or packs.
template <typename Visit>
void ForEachSummed(const RankView& rank, const fbs::Instruction& instruction, const Visit& visit) {
  auto visit_remote = [&](uint32_t buffer) {
    if (IsRemote(rank.buffers[buffer].kind())) visit(buffer);
  };
  if (instruction.opcode() == fbs::Opcode::attend_backward) {
    for (uint32_t t = instruction.begin(); t < instruction.end(); ++t) {
      visit_remote(rank.tiles[t].key_buffer());
      visit_remote(rank.tiles[t].value_buffer());
    }
    return;
  }
  const bool sent = instruction.opcode() == fbs::Opcode::add_gradients;
  for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
    if (IsSend(rank.messages[m]) != sent) continue;
    for (const fbs::Part& part : rank.PartsOf(rank.messages[m])) visit_remote(part.buffer());
  }
}

// P34: goes back along the compute stream, and knows what is cleared later.
absl::Status CheckClears(const RankView& rank) {
  std::vector<uint32_t> cleared(rank.buffers.size(), kNone);  // by buffer
  for (uint32_t i = rank.backward.instructions.size(); i-- > 0;) {
    const fbs::Instruction& instruction = rank.backward.instructions[i];
    if (instruction.stream() != fbs::Stream::compute) continue;
    if (instruction.opcode() == fbs::Opcode::clear_gradients) {
      ForEachSummed(rank, instruction, [&](uint32_t buffer) { cleared[buffer] = i; });
      continue;
    }
    uint32_t used = kNone;
    ForEachSummed(rank, instruction, [&](uint32_t buffer) {
      if (cleared[buffer] != kNone) used = buffer;
    });
    if (used == kNone) continue;
    return Broken("P34", NameOf(rank.rank, i), ": uses the sums of buffer ", used,
                  " before backward instruction ", cleared[used], " clears them");
  }
  return absl::OkStatus();
}

// P32: gradients are packed, then sent, and added when they have come.
absl::Status CheckTransfers(const Flow& flow) {
  const RankView& rank = flow.rank;
  for (const ReversedExchange& reversed : flow.reversed) {
    if (reversed.gradients == kNone) continue;
    if (flow.arrivals[reversed.gradients].first[kCompute] > reversed.add) {
      return Broken("P32", NameOf(rank.rank, reversed.add),
                    ": adds gradients without waiting for backward instruction ",
                    reversed.gradients, ", which brings them");
    }
    if (flow.arrivals[reversed.pack].first[kCommunication] > reversed.gradients) {
      return Broken("P32", NameOf(rank.rank, reversed.gradients),
                    ": sends gradients without waiting for backward instruction ", reversed.pack,
                    ", which packs them");
    }
  }
  return absl::OkStatus();
}

}  // namespace

// P11, P25 and P28 hold: of each pair of ranks, both sides start the same messages.
absl::StatusOr<Meetings> MatchBackwardMessages(const PlanView& view) {
  Meetings meetings(view.ranks.size());
  const auto [sends, receives] = CollectSides(view, &meetings);
  for (size_t i = 0; i < sends.size(); ++i) {
    const Posted& send = sends[i];
    const Posted& receive = receives[i];
    if (send.tag != receive.tag) {
      return Broken("P29", NameOf(send.by.rank, send.by.index), " and ",
                    NameOf(receive.by.rank, receive.by.index), ": one tag expected, ", send.tag,
                    " sent and ", receive.tag, " received");
    }
    meetings[send.by.rank][send.meeting].partner = receive.by;
    meetings[receive.by.rank][receive.meeting].partner = send.by;
  }
  return meetings;
}

absl::Status CheckGradientFlow(const PlanView& view, const Traffic& traffic, const RankView& rank,
                               const ReversedExchanges& reversed) {
  const Flow flow = {rank, reversed, FindRelays(traffic, rank),
                     FindArrivals(rank.backward, /*rounds=*/1), FindReaders(view, rank)};
  for (uint32_t i = 0; i < reversed.size(); ++i) {
    if (reversed[i].resend != kNone) RETURN_IF_ERROR(CheckResend(flow, i));
    if (reversed[i].pack != kNone) RETURN_IF_ERROR(CheckPack(flow, i));
  }
  for (const Relay& relay : flow.relays) RETURN_IF_ERROR(CheckRelay(flow, relay));
  RETURN_IF_ERROR(CheckClears(rank));
  return CheckTransfers(flow);
}

}  // namespace flashcp::verifier

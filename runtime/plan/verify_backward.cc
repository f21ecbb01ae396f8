// Decides whether the backward program of each rank has the buffers it needs, and takes up every
// tile and every exchange of the forward program.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

using Kind = fbs::BufferKind;
using Opcode = fbs::Opcode;

// P26 for a kind of which a rank has one buffer.
absl::Status CheckOne(const RankView& rank, Kind kind, uint32_t rows) {
  uint32_t count = 0;
  for (size_t i = 0; i < rank.buffers.size(); ++i) {
    if (rank.buffers[i].kind() != kind) continue;
    ++count;
    if (rank.buffers[i].rows() == rows) continue;
    return Broken("P26", "rank ", rank.rank, ", buffer ", i, " (", fbs::EnumNameBufferKind(kind),
                  "): ", rows, " rows expected, ", rank.buffers[i].rows(), " found");
  }
  if (count == 1) return absl::OkStatus();
  return Broken("P26", "rank ", rank.rank, ": one ", fbs::EnumNameBufferKind(kind),
                " buffer expected, ", count, " found");
}

// P26: a buffer of one kind for each buffer of others, with its rows, in the order of the table.
struct Counterparts {
  Kind kind;
  bool (*belongs_to)(Kind);
  const char* of;
};

absl::Status CheckCounterparts(const RankView& rank, const Counterparts& expected) {
  std::vector<size_t> originals;
  std::vector<size_t> found;
  for (size_t i = 0; i < rank.buffers.size(); ++i) {
    if (expected.belongs_to(rank.buffers[i].kind())) originals.push_back(i);
    if (rank.buffers[i].kind() == expected.kind) found.push_back(i);
  }
  const char* name = fbs::EnumNameBufferKind(expected.kind);
  if (found.size() != originals.size()) {
    return Broken("P26", "rank ", rank.rank, ": ", originals.size(), " ", name,
                  " buffers expected, one for each ", expected.of, " buffer, ", found.size(),
                  " found");
  }
  for (size_t i = 0; i < found.size(); ++i) {
    uint32_t rows = rank.buffers[originals[i]].rows();
    if (rank.buffers[found[i]].rows() == rows) continue;
    return Broken("P26", "rank ", rank.rank, ", buffer ", found[i], " (", name, "): the ", rows,
                  " rows of buffer ", originals[i], " expected, ", rank.buffers[found[i]].rows(),
                  " found");
  }
  return absl::OkStatus();
}

// P26 for the incoming buffer of one exchange. Messages may be larger than 64 bits can add up:
// stops if they pass what the buffer has.
absl::Status CheckIncoming(const PlanView& view, const RankView& rank, uint32_t exchange,
                           size_t buffer) {
  const uint64_t row_bytes = uint64_t{view.heads.dim()} * DTypeBytes(view.plan.dtype());
  const uint64_t rows = rank.buffers[buffer].rows();
  const fbs::Instruction& instruction = rank.instructions[exchange];
  uint64_t used = 0;
  for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
    if (!IsSend(rank.messages[m])) continue;
    if (rank.messages[m].bytes() / row_bytes > rows - used) {
      return Broken("P26", "rank ", rank.rank, ", buffer ", buffer, " (incoming): instruction ",
                    exchange, " sends more rows than its ", rows);
    }
    used += rank.messages[m].bytes() / row_bytes;
  }
  if (used == rows) return absl::OkStatus();
  return Broken("P26", "rank ", rank.rank, ", buffer ", buffer, " (incoming): the ", used,
                " rows that instruction ", exchange, " sends expected, ", rows, " found");
}

// P26: an incoming buffer for each exchange with sends, in the order of the program.
absl::Status CheckAllIncoming(const PlanView& view, const RankView& rank) {
  std::vector<size_t> incoming;
  for (size_t i = 0; i < rank.buffers.size(); ++i) {
    if (rank.buffers[i].kind() == Kind::incoming) incoming.push_back(i);
  }
  std::vector<uint32_t> exchanges;  // with sends
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (instruction.opcode() != Opcode::exchange) continue;
    auto begin = rank.messages.begin() + instruction.begin();
    if (std::any_of(begin, rank.messages.begin() + instruction.end(), IsSend)) {
      exchanges.push_back(i);
    }
  }
  if (incoming.size() != exchanges.size()) {
    return Broken("P26", "rank ", rank.rank, ": ", exchanges.size(),
                  " incoming buffers expected, one for each exchange with sends, ", incoming.size(),
                  " found");
  }
  for (size_t i = 0; i < exchanges.size(); ++i) {
    RETURN_IF_ERROR(CheckIncoming(view, rank, exchanges[i], incoming[i]));
  }
  return absl::OkStatus();
}

bool IsSavedKey(Kind kind) { return kind == Kind::saved_key; }
bool IsSavedValue(Kind kind) { return kind == Kind::saved_value; }

bool IsCommunication(Opcode opcode) {
  return opcode == Opcode::resend || opcode == Opcode::exchange_gradients;
}

std::string NameOf(const RankView& rank, size_t index) {
  const fbs::Instruction& instruction = rank.backward.instructions[index];
  return absl::StrCat("rank ", rank.rank, ", backward instruction ", index, " (",
                      fbs::EnumNameOpcode(instruction.opcode()), ")");
}

// P27: opcodes and streams.
absl::Status CheckOpcodes(const RankView& rank) {
  for (size_t i = 0; i < rank.backward.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.backward.instructions[i];
    if (instruction.opcode() > Opcode::MAX || instruction.stream() > fbs::Stream::MAX ||
        instruction.opcode() < Opcode::clear_gradients) {
      return Broken("P27", "rank ", rank.rank, ", backward instruction ", i,
                    ": an opcode of backward and a known stream expected, ",
                    static_cast<int>(instruction.opcode()), " on ",
                    static_cast<int>(instruction.stream()), " found");
    }
    bool communication = instruction.stream() == fbs::Stream::communication;
    if (communication == IsCommunication(instruction.opcode())) continue;
    return Broken("P27", NameOf(rank, i), " on stream ", fbs::EnumNameStream(instruction.stream()));
  }
  return absl::OkStatus();
}

// P27: clear_gradients of stage 0 is the first of the compute stream, store_gradients the last.
absl::Status CheckBeginAndEnd(const RankView& rank) {
  std::vector<size_t> compute;
  for (size_t i = 0; i < rank.backward.instructions.size(); ++i) {
    if (rank.backward.instructions[i].stream() == fbs::Stream::compute) compute.push_back(i);
  }
  bool idle = rank.tiles.empty() && rank.messages.empty();
  if (idle && rank.backward.instructions.empty()) return absl::OkStatus();
  if (compute.size() < 2) {
    return Broken("P27", "rank ", rank.rank,
                  ": a backward program from clear_gradients to store_gradients expected, ",
                  rank.backward.instructions.size(), " instructions found");
  }
  for (size_t i : compute) {
    const fbs::Instruction& instruction = rank.backward.instructions[i];
    bool clear = instruction.opcode() == Opcode::clear_gradients && instruction.stage() == 0;
    bool store = instruction.opcode() == Opcode::store_gradients;
    if (clear != (i == compute.front()) || store != (i == compute.back())) {
      return Broken("P27", NameOf(rank, i), ": clear_gradients of stage 0 expected as the first ",
                    "of its stream, and only there, store_gradients as the last");
    }
    if ((clear || store) && instruction.begin() != instruction.end()) {
      return Broken("P27", NameOf(rank, i), ": an empty range expected, [", instruction.begin(),
                    ", ", instruction.end(), ") found");
    }
  }
  return absl::OkStatus();
}

// P28: the ranges of all attend_backward are the tiles, each once.
absl::Status CheckAttends(const RankView& rank) {
  std::vector<size_t> attends;
  for (size_t i = 0; i < rank.backward.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.backward.instructions[i];
    if (instruction.opcode() != Opcode::attend_backward) continue;
    if (!InBounds(instruction.begin(), instruction.end(), rank.tiles.size())) {
      return Broken("P28", NameOf(rank, i), ": tiles in [0, ", rank.tiles.size(), ") expected, [",
                    instruction.begin(), ", ", instruction.end(), ") found");
    }
    if (instruction.begin() < instruction.end()) attends.push_back(i);
  }
  auto at = [&rank](size_t i) { return rank.backward.instructions[i]; };
  std::sort(attends.begin(), attends.end(),
            [&at](size_t a, size_t b) { return at(a).begin() < at(b).begin(); });
  uint32_t next = 0;
  for (size_t i : attends) {
    if (at(i).begin() != next) {
      return Broken("P28", NameOf(rank, i), ": each tile once and so tiles from ", next,
                    " on expected, [", at(i).begin(), ", ", at(i).end(), ") found");
    }
    next = at(i).end();
  }
  if (next == rank.tiles.size()) return absl::OkStatus();
  return Broken("P28", "rank ", rank.rank, ": tile ", next, " is in no attend_backward");
}

// The messages of all exchanges of one stage: [begin, end).
struct StageMessages {
  uint32_t stage;
  uint32_t begin;
  uint32_t end;
  bool cleared = false;
};

// By stage; those that have messages. Stages of exchanges never fall (P7).
std::vector<StageMessages> MessagesByStage(const RankView& rank) {
  std::vector<StageMessages> stages;
  for (const fbs::Instruction& exchange : rank.instructions) {
    if (exchange.opcode() != Opcode::exchange || exchange.begin() == exchange.end()) continue;
    if (stages.empty() || stages.back().stage != exchange.stage()) {
      stages.push_back({exchange.stage(), exchange.begin(), exchange.end()});
    }
    stages.back().end = exchange.end();
  }
  return stages;
}

// P28: the sums of each stage with messages are cleared once.
absl::Status CheckStagesCleared(const RankView& rank) {
  std::vector<StageMessages> stages = MessagesByStage(rank);
  for (size_t i = 0; i < rank.backward.instructions.size(); ++i) {
    const fbs::Instruction& clear = rank.backward.instructions[i];
    if (clear.opcode() != Opcode::clear_gradients || clear.stage() == 0) continue;
    auto found = std::lower_bound(
        stages.begin(), stages.end(), clear.stage(),
        [](const StageMessages& messages, uint32_t stage) { return messages.stage < stage; });
    const bool none = found == stages.end() || found->stage != clear.stage();
    if (none && clear.begin() == clear.end()) continue;  // there is nothing to clear
    if (none || found->cleared || found->begin != clear.begin() || found->end != clear.end()) {
      return Broken("P28", NameOf(rank, i), ": the messages of all exchanges of stage ",
                    clear.stage(), ", and once, expected, [", clear.begin(), ", ", clear.end(),
                    ") found");
    }
    found->cleared = true;
  }
  for (const StageMessages& messages : stages) {
    if (messages.cleared) continue;
    return Broken("P28", "rank ", rank.rank, ": clear_gradients of stage ", messages.stage,
                  " expected, since the stage has messages");
  }
  return absl::OkStatus();
}

// Where the backward program takes up an exchange with this opcode; null for other opcodes.
uint32_t* PlaceOf(Opcode opcode, ReversedExchange* reversed) {
  switch (opcode) {
    case Opcode::resend:
      return &reversed->resend;
    case Opcode::pack_gradients:
      return &reversed->pack;
    case Opcode::exchange_gradients:
      return &reversed->gradients;
    case Opcode::add_gradients:
      return &reversed->add;
    default:
      return nullptr;
  }
}

// P28: ranges of messages are those of forward exchanges, each once for each opcode.
absl::StatusOr<ReversedExchanges> FindReversed(const RankView& rank) {
  const std::vector<uint32_t> exchanges = ExchangesOf(rank);
  ReversedExchanges reversed(rank.instructions.size());
  ReversedExchange unused;
  for (size_t i = 0; i < rank.backward.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.backward.instructions[i];
    if (PlaceOf(instruction.opcode(), &unused) == nullptr) continue;
    bool in_bounds = InBounds(instruction.begin(), instruction.end(), rank.messages.size());
    if (in_bounds && instruction.begin() == instruction.end()) continue;
    const uint32_t forward = in_bounds ? exchanges[instruction.begin()] : 0;
    if (!in_bounds || rank.instructions[forward].begin() != instruction.begin() ||
        rank.instructions[forward].end() != instruction.end()) {
      return Broken("P28", NameOf(rank, i), ": the messages of a forward exchange expected, [",
                    instruction.begin(), ", ", instruction.end(), ") found");
    }
    uint32_t* place = PlaceOf(instruction.opcode(), &reversed[forward]);
    if (*place != ReversedExchange::kNone) {
      return Broken("P28", NameOf(rank, i), ": does what backward instruction ", *place,
                    " did for forward instruction ", forward);
    }
    *place = i;
  }
  return reversed;
}

// P28: no exchange is left out.
absl::Status CheckAllReversed(const RankView& rank, const ReversedExchanges& reversed) {
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& exchange = rank.instructions[i];
    if (exchange.opcode() != Opcode::exchange || exchange.begin() == exchange.end()) continue;
    if (reversed[i].pack == ReversedExchange::kNone ||
        reversed[i].gradients == ReversedExchange::kNone ||
        reversed[i].add == ReversedExchange::kNone) {
      return Broken("P28", "rank ", rank.rank, ": pack_gradients, exchange_gradients and ",
                    "add_gradients of forward instruction ", i, " expected");
    }
    bool comes_again = false;
    for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
      comes_again |= !IsSaved(rank, rank.messages[m]);
    }
    if (comes_again && reversed[i].resend == ReversedExchange::kNone) {
      return Broken("P28", "rank ", rank.rank, ": a resend of forward instruction ", i,
                    " expected, since not all of its rows are saved");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBackwardBuffers(const PlanView& view) {
  for (const RankView& rank : view.ranks) {
    auto query = std::find_if(rank.buffers.begin(), rank.buffers.end(),
                              [](const fbs::Buffer& b) { return b.kind() == Kind::query; });
    for (Kind kind : {Kind::delta, Kind::query_sum, Kind::key_sum, Kind::value_sum}) {
      RETURN_IF_ERROR(CheckOne(rank, kind, query->rows()));
    }
    for (const Counterparts& expected :
         {Counterparts{Kind::remote_key_sum, IsRemoteKey, "remote or saved key"},
          Counterparts{Kind::remote_value_sum, IsRemoteValue, "remote or saved value"},
          Counterparts{Kind::outgoing_key, IsSavedKey, "saved key"},
          Counterparts{Kind::outgoing_value, IsSavedValue, "saved value"}}) {
      RETURN_IF_ERROR(CheckCounterparts(rank, expected));
    }
    RETURN_IF_ERROR(CheckAllIncoming(view, rank));
  }
  return absl::OkStatus();
}

absl::StatusOr<ReversedExchanges> CheckBackwardProgram(const RankView& rank) {
  RETURN_IF_ERROR(CheckOpcodes(rank));
  RETURN_IF_ERROR(CheckBeginAndEnd(rank));
  RETURN_IF_ERROR(CheckAttends(rank));
  RETURN_IF_ERROR(CheckStagesCleared(rank));
  ASSIGN_OR_RETURN(ReversedExchanges reversed, FindReversed(rank));
  RETURN_IF_ERROR(CheckAllReversed(rank, reversed));
  return reversed;
}

}  // namespace flashcp::verifier

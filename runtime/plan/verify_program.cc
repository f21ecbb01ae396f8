// Decides whether the instructions of each rank are well formed.

#include <cstddef>
#include <string>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

absl::string_view NameOf(fbs::Opcode opcode) { return fbs::EnumNameOpcode(opcode); }

// P7 of one rank: instructions take messages and tiles in the order of their tables, each once.
absl::Status CheckInstructions(const RankView& rank) {
  uint64_t next[] = {0, 0};  // message, tile: by opcode
  const uint64_t size[] = {rank.messages.size(), rank.tiles.size()};
  uint32_t exchange_stage = 1;
  for (size_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (instruction.opcode() > fbs::Opcode::MAX || instruction.stream() > fbs::Stream::MAX) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, ": unknown opcode ",
                    static_cast<int>(instruction.opcode()), " or stream ",
                    static_cast<int>(instruction.stream()));
    }
    bool exchange = instruction.opcode() == fbs::Opcode::exchange;
    if (!exchange && instruction.opcode() != fbs::Opcode::attend) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i,
                    ": exchange or attend expected, ", NameOf(instruction.opcode()), " found");
    }
    if (exchange != (instruction.stream() == fbs::Stream::communication)) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, ": ",
                    NameOf(instruction.opcode()), " on stream ",
                    fbs::EnumNameStream(instruction.stream()));
    }
    uint64_t& first = next[static_cast<int>(instruction.opcode())];
    uint64_t end = size[static_cast<int>(instruction.opcode())];
    bool empty = instruction.begin() == instruction.end();
    if (!InBounds(instruction.begin(), instruction.end(), end) ||
        (!empty && instruction.begin() != first)) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, " (",
                    NameOf(instruction.opcode()), "): a range from ", first, " up to ", end,
                    " expected, [", instruction.begin(), ", ", instruction.end(), ") found");
    }
    if (!empty) first = instruction.end();
    if (!exchange) continue;
    if (instruction.stage() < exchange_stage) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, ": an exchange of stage ",
                    exchange_stage, " or later expected, ", instruction.stage(), " found");
    }
    exchange_stage = instruction.stage();
  }
  if (next[0] != size[0] || next[1] != size[1]) {
    return Broken("P7", "rank ", rank.rank, ": instructions for ", size[0], " messages and ",
                  size[1], " tiles expected, ", next[0], " and ", next[1], " found");
  }
  return absl::OkStatus();
}

// Steps of one program in all rounds; more would take too long to follow.
constexpr uint64_t kMaxSteps = uint64_t{1} << 22;

// P8 of one program. No two instructions share waits, which bounds the work of all that follow
// them.
absl::Status CheckWaits(uint32_t rank, const ProgramView& program, uint32_t rounds) {
  const uint64_t size = program.instructions.size();
  if (size * rounds > kMaxSteps) {
    return Broken("P8", "rank ", rank, ": at most ", kMaxSteps, " steps in ", rounds,
                  " rounds expected, ", size, " instructions found");
  }
  uint64_t total = 0;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const fbs::Instruction& instruction = program.instructions[i];
    std::string name = absl::StrCat("rank ", rank, ", ", program.noun, " ", i);
    if (!InBounds(instruction.wait_begin(), instruction.wait_end(), program.waits.size())) {
      return Broken("P8", name, ": waits in [0, ", program.waits.size(), ") expected, [",
                    instruction.wait_begin(), ", ", instruction.wait_end(), ") found");
    }
    total += instruction.wait_end() - instruction.wait_begin();
    if (total > program.waits.size()) {
      return Broken("P8", name, ": shares waits with another instruction");
    }
    for (const fbs::Wait& wait : program.WaitsOf(instruction)) {
      if (wait.instruction() < (wait.rounds() == 0 ? i : size) && wait.rounds() < rounds) continue;
      return Broken("P8", name, ": a wait for an earlier instruction of ", size, " in ", rounds,
                    " rounds expected, for ", wait.instruction(), " of ", wait.rounds(),
                    " rounds before found");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPrograms(const PlanView& view) {
  for (const RankView& rank : view.ranks) {
    RETURN_IF_ERROR(CheckInstructions(rank));
    RETURN_IF_ERROR(CheckWaits(rank.rank, rank.forward(), view.head_groups));
    RETURN_IF_ERROR(CheckWaits(rank.rank, rank.backward, view.head_groups));
  }
  return absl::OkStatus();
}

}  // namespace flashcp::verifier

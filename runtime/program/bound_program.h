// One pass of one rank, bound to its buffers: the tables that launches read and the messages that
// exchanges carry, as plain data made from the plan, before any device or transport sees them.
//
// A pass runs its instructions once for each group of heads. These are its rounds, an instruction
// of a round is a step. Tables and messages are those of every round, since they name buffers,
// whose first bytes differ by round, and tags of messages grow by the same from round to round.

#ifndef FLASHCP_RUNTIME_PROGRAM_BOUND_PROGRAM_H_
#define FLASHCP_RUNTIME_PROGRAM_BOUND_PROGRAM_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/launch_tables.h"
#include "runtime/plan/plan.h"
#include "runtime/program/rank_buffers.h"
#include "runtime/transport.h"

namespace flashcp {

// What an instruction does: of the compute stream, its launches one after the other; of the
// communication stream, the launches (if messages are packed), the messages, then `unpack`.
struct BoundInstruction {
  std::vector<Launch> launches;
  std::vector<Message> messages;     // of round 0
  std::vector<uint32_t> round_tags;  // by message: what its tag grows by from a round to the next
  std::vector<Launch> unpack;
};

struct BoundProgram {
  Plan plan;  // keeps what the span points to
  uint32_t rounds = 0;
  absl::Span<const fbs::Instruction> instructions;
  LaunchTables tables;
  std::vector<BoundInstruction> bound;  // by instruction
  // By step: the earlier steps that must be done before it starts. Steps are numbered round after
  // round.
  std::vector<std::vector<uint32_t>> waits;

  uint32_t num_steps() const { return waits.size(); }
  uint32_t RoundOf(uint32_t step) const { return step / instructions.size(); }
  uint32_t IndexOf(uint32_t step) const { return step % instructions.size(); }
  const fbs::Instruction& InstructionOf(uint32_t step) const { return instructions[IndexOf(step)]; }
};

// Whether the instruction belongs to the communication stream.
inline bool IsExchange(const fbs::Instruction& instruction) {
  return instruction.stream() == fbs::Stream::communication;
}

// Binds a pass of `rank`, of a plan that passed VerifyPlan.
BoundProgram BindForward(const Plan& plan, int rank);
BoundProgram BindBackward(const Plan& plan, int rank);

// The launch over entries [begin, end) of a table; none if there are no entries.
inline std::vector<Launch> Launches(Launch::Kind kind, uint32_t begin, uint32_t end) {
  return begin == end ? std::vector<Launch>() : std::vector<Launch>{{kind, begin, end}};
}

inline Message::Direction DirectionOf(const fbs::Message& message) {
  return message.direction() == fbs::Direction::send ? Message::Direction::kSend
                                                     : Message::Direction::kReceive;
}

// A program of the plan with its steps, nothing bound yet.
BoundProgram MakeSteps(const Plan& plan, absl::Span<const fbs::Instruction> instructions,
                       absl::Span<const fbs::Wait> waits);

// By message of a program: how many a round has of the same peer and direction.
std::vector<uint32_t> CountTags(const fbs::Program& program);

// Adds blocks to a message; bytes that continue its last run extend it.
void AddRun(MessageRun run, Message* message);
// Adds the rows and heads of a part of the plan's messages.
void AddPart(const RankBuffers& buffers, const fbs::Program& program, const fbs::Part& part,
             Message* message);

// Makes messages contiguous: those of several blocks pass through the staging buffer, to which and
// from which launches of the exchange copy them. Returns the bytes of staging that this takes; all
// exchanges share them, since they follow each other on one stream.
uint64_t PackMessages(const RankBuffers& buffers, BoundProgram* program);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_BOUND_PROGRAM_H_

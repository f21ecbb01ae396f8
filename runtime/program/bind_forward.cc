// The forward pass bound to buffers: an entry for each tile of the plan, a message for each of its
// messages.

#include "runtime/plan/conversion.h"
#include "runtime/program/bound_program.h"

namespace flashcp {
namespace {

ForwardEntry EntryOf(const fbs::Tile& tile) {
  ForwardEntry entry;
  entry.query = {tile.query_buffer(), tile.query_row()};
  entry.key = {tile.key_buffer(), tile.key_row()};
  entry.value = {tile.value_buffer(), tile.key_row()};
  entry.output = {tile.output_buffer(), tile.query_row()};
  entry.lse = {tile.lse_buffer(), tile.query_row()};
  entry.accumulator = {tile.accumulator_buffer(), tile.accumulator_row()};
  entry.query_position = tile.query_position();
  entry.key_position = tile.key_position();
  entry.query_count = tile.query_count();
  entry.key_count = tile.key_count();
  entry.band = ModelOf(tile.band());
  entry.head_begin = static_cast<int>(tile.head_begin());
  entry.head_end = static_cast<int>(tile.head_end());
  entry.first = tile.first();
  entry.last = tile.last();
  return entry;
}

Message MessageOf(const RankBuffers& buffers, const fbs::Program& program,
                  const fbs::Message& message) {
  Message bound = {DirectionOf(message), static_cast<int>(message.peer()), message.tag(), {}};
  for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
    AddPart(buffers, program, Items(program.parts())[p], &bound);
  }
  return bound;
}

}  // namespace

BoundProgram MakeSteps(const Plan& plan, absl::Span<const fbs::Instruction> instructions,
                       absl::Span<const fbs::Wait> waits) {
  BoundProgram program;
  program.plan = plan;
  program.rounds = plan->head_groups();
  program.instructions = instructions;
  for (uint32_t round = 0; round < program.rounds; ++round) {
    for (const fbs::Instruction& instruction : instructions) {
      std::vector<uint32_t>& steps = program.waits.emplace_back();
      for (uint32_t w = instruction.wait_begin(); w < instruction.wait_end(); ++w) {
        if (waits[w].rounds() > round) continue;  // there is no such round
        steps.push_back((round - waits[w].rounds()) * instructions.size() + waits[w].instruction());
      }
    }
  }
  return program;
}

BoundProgram BindForward(const Plan& plan, int rank) {
  const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
  const fbs::Program& program = *rank_plan.forward();
  const RankBuffers buffers(plan, rank);
  const std::vector<uint32_t> tags = CountTags(program);
  BoundProgram bound = MakeSteps(plan, Items(program.instructions()), Items(program.waits()));
  for (uint32_t b = 0; b < buffers.size(); ++b) {
    bound.tables.row_bytes.push_back(buffers.RowBytes(b));
  }
  for (const fbs::Tile& tile : Items(program.tiles())) {
    bound.tables.forward.push_back(EntryOf(tile));
  }
  for (const fbs::Instruction& instruction : bound.instructions) {
    BoundInstruction& added = bound.bound.emplace_back();
    if (!IsExchange(instruction)) {
      added.launches = Launches(Launch::Kind::kAttend, instruction.begin(), instruction.end());
      continue;
    }
    for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
      added.messages.push_back(MessageOf(buffers, program, Items(program.messages())[m]));
      added.round_tags.push_back(tags[m]);
    }
  }
  return bound;
}

}  // namespace flashcp

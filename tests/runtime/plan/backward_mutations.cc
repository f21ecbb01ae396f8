// The rules of the backward pass, each broken; see toy_plan.h for what the indices are.

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/runtime/plan/mutations.h"

namespace flashcp {
namespace {

fbs::Instruction& Instruction(fbs::PlanT& plan, int rank, int index) {
  return Backward(plan, rank).instructions[index];
}

// Makes an instruction wait for nothing.
void DropWaits(fbs::Instruction* instruction) {
  instruction->mutate_wait_end(instruction->wait_begin());
}

// Makes an instruction wait for another one instead of its first one.
void WaitFor(fbs::PlanT& plan, int rank, int index, uint32_t wait) {
  Backward(plan, rank).waits[Instruction(plan, rank, index).wait_begin()] = {wait, 0};
}

std::vector<Mutation> BufferMutations() {
  return {
      {"P26", "rows of delta", [](auto& p) { Rank(p, 0).buffers[12].mutate_rows(5); }},
      {"P26", "no key sum",
       [](auto& p) { Rank(p, 0).buffers[14].mutate_kind(fbs::BufferKind::value_sum); }},
      {"P26", "rows of a remote sum", [](auto& p) { Rank(p, 0).buffers[16].mutate_rows(5); }},
      {"P26", "no sum of remote keys",
       [](auto& p) { Rank(p, 0).buffers[16].mutate_kind(fbs::BufferKind::remote_value_sum); }},
      {"P26", "no incoming", [](auto& p) { Rank(p, 0).buffers.pop_back(); }},
      {"P26", "two incoming",
       [](auto& p) {
         Rank(p, 0).buffers.push_back(Rank(p, 0).buffers[18]);
         Rank(p, 0).buffers[19].mutate_offset(Rank(p, 0).backward_workspace_bytes / 64 * 64 + 64);
         Rank(p, 0).backward_workspace_bytes += 64 + 1000 * 8 * 4;
       }},
      {"P26", "incoming too small", [](auto& p) { Rank(p, 0).buffers[18].mutate_rows(1); }},
      {"P26", "incoming too large",
       [](auto& p) {
         Rank(p, 0).buffers[18].mutate_rows(1000);
         Rank(p, 0).backward_workspace_bytes += 1000 * 8 * 4;
       }},
  };
}

std::vector<Mutation> ProgramMutations() {
  using Opcode = fbs::Opcode;
  return {
      {"P8", "backward range past the waits",
       [](auto& p) { Instruction(p, 0, 8).mutate_wait_end(99); }},
      {"P8", "backward wait for a later instruction", [](auto& p) { WaitFor(p, 0, 4, 6); }},
      {"P27", "opcode of forward",
       [](auto& p) { Instruction(p, 0, 2).mutate_opcode(Opcode::attend); }},
      {"P27", "exchange of forward",
       [](auto& p) { Instruction(p, 0, 6).mutate_opcode(Opcode::exchange); }},
      {"P27", "unknown opcode",
       [](auto& p) { Instruction(p, 0, 2).mutate_opcode(static_cast<Opcode>(99)); }},
      {"P27", "unknown stream",
       [](auto& p) { Instruction(p, 0, 2).mutate_stream(static_cast<fbs::Stream>(2)); }},
      {"P27", "packs on the communication stream",
       [](auto& p) { Instruction(p, 0, 5).mutate_stream(fbs::Stream::communication); }},
      {"P27", "no program", [](auto& p) { Backward(p, 0).instructions.clear(); }},
      {"P27", "does not clear",
       [](auto& p) { Instruction(p, 0, 0).mutate_opcode(Opcode::attend_backward); }},
      {"P27", "clears twice", [](auto& p) { Instruction(p, 0, 2) = Instruction(p, 0, 0); }},
      {"P27", "does not store last",
       [](auto& p) { std::swap(Instruction(p, 0, 7), Instruction(p, 0, 8)); }},
      {"P27", "clears stage 0 twice", [](auto& p) { Instruction(p, 0, 3).mutate_stage(0); }},
      {"P27", "clears a range", [](auto& p) { Instruction(p, 0, 0).mutate_end(1); }},
      {"P28", "range past the tiles", [](auto& p) { Instruction(p, 0, 4).mutate_end(99); }},
      {"P28", "range past the messages", [](auto& p) { Instruction(p, 0, 5).mutate_end(99); }},
      {"P28", "tile run twice", [](auto& p) { Instruction(p, 0, 4).mutate_begin(3); }},
      {"P28", "tile left out", [](auto& p) { Instruction(p, 0, 4).mutate_begin(5); }},
      {"P28", "packs some messages of an exchange",
       [](auto& p) { Instruction(p, 0, 5).mutate_end(1); }},
      {"P28", "packs twice",
       [](auto& p) { Instruction(p, 0, 7).mutate_opcode(Opcode::pack_gradients); }},
      {"P28", "adds nothing", [](auto& p) { Instruction(p, 0, 7).mutate_end(0); }},
      {"P28", "clears no stage of an exchange",
       [](auto& p) { Instruction(p, 0, 3).mutate_stage(2); }},
      {"P28", "clears some messages of a stage",
       [](auto& p) { Instruction(p, 0, 3).mutate_end(1); }},
      {"P28", "does not clear a stage",
       [](auto& p) {
         std::vector<fbs::Instruction>& instructions = Backward(p, 0).instructions;
         instructions[3] = instructions[2];
         instructions[3].mutate_end(instructions[3].begin());
       }},
      {"P28", "clears a stage twice", [](auto& p) { Instruction(p, 0, 2) = Instruction(p, 0, 3); }},
      {"P28", "brings nothing again", [](auto& p) { Instruction(p, 0, 1).mutate_end(0); }},
      {"P12", "ranks wait in a circle, backward",
       [](auto& p) {
         SplitExchangesInOrder(&p);
         std::swap(Instruction(p, 1, 1), Instruction(p, 1, 2));
       }},
      {"P29", "gradients before K and V",
       [](auto& p) {
         Instruction(p, 0, 1).mutate_opcode(Opcode::exchange_gradients);
         Instruction(p, 0, 6).mutate_opcode(Opcode::resend);
       }},
  };
}

std::vector<Mutation> FlowMutations() {
  return {
      {"P30", "attends without a wait", [](auto& p) { DropWaits(&Instruction(p, 0, 4)); }},
      {"P31", "packs before it attends",
       [](auto& p) { std::swap(Instruction(p, 0, 4), Instruction(p, 0, 5)); }},
      {"P34", "clears after it attends",
       [](auto& p) { std::swap(Instruction(p, 0, 3), Instruction(p, 0, 4)); }},
      {"P32", "sends without a wait", [](auto& p) { DropWaits(&Instruction(p, 0, 6)); }},
      {"P32", "sends before it has packed", [](auto& p) { WaitFor(p, 0, 6, 4); }},
      {"P32", "adds without a wait", [](auto& p) { DropWaits(&Instruction(p, 0, 7)); }},
      {"P32", "adds when K and V are there", [](auto& p) { WaitFor(p, 0, 7, 1); }},
  };
}

// Of rank 2 of RelayedToyProblem.
std::vector<Mutation> RelayMutations() {
  return {
      {"P25", "marks what it sends on as saved",
       [](auto& p) {
         fbs::ProgramT& program = Program(p, 2);
         const fbs::Message& sent = program.messages[program.instructions[2].begin()];
         program.parts[sent.part_begin()].mutate_saved(true);
       }},
      {"P30", "sends on without a wait", [](auto& p) { DropWaits(&Instruction(p, 2, 2)); }},
      {"P30", "attends when the first exchange is done", [](auto& p) { WaitFor(p, 2, 5, 1); }},
      {"P31", "packs before it adds what comes back",
       [](auto& p) { std::swap(Instruction(p, 2, 8), Instruction(p, 2, 9)); }},
      {"P32", "adds what another exchange brings", [](auto& p) { WaitFor(p, 2, 11, 7); }},
  };
}

// Two ranks, of which the first receives what it does not need: no tile reads its remote rows.
testing::ToyProblem UnreadToyProblem() {
  testing::ToyProblem problem;
  problem.ranks = 2;
  problem.exchange = fbs::Exchange::all_gather;
  problem.documents = {{8, {{0, 4, 0}, {4, 8, 1}}}};
  return problem;
}

std::vector<Mutation> UnreadMutations() {
  return {
      {"P31", "packs into rows that may still come",
       [](auto& p) { DropWaits(&Instruction(p, 0, 4)); }},
      {"P34", "clears after it packs",
       [](auto& p) {
         std::swap(Instruction(p, 0, 3), Instruction(p, 0, 4));
         std::swap(Instruction(p, 0, 4), Instruction(p, 0, 5));
         WaitFor(p, 0, 6, 4);
       }},
  };
}

// RelayedToyProblem, in which rank 2 alone relays: rows [0, 2) to rank 3.
testing::ToyProblem OneRelayToyProblem() {
  testing::ToyProblem problem = testing::RelayedToyProblem();
  problem.documents = {{6, {{0, 2, 0}, {2, 4, 2}, {4, 6, 3}}}};
  return problem;
}

std::vector<Mutation> OneRelayMutations() {
  return {
      {"P31", "packs into rows that it may still send on",
       [](auto& p) { DropWaits(&Instruction(p, 2, 9)); }},
      {"P34", "clears after it adds",
       [](auto& p) {
         std::vector<fbs::Instruction>& instructions = Backward(p, 2).instructions;
         std::swap(instructions[4], instructions[5]);
         std::swap(instructions[5], instructions[6]);
       }},
  };
}

// Of SavedToyProblem: rank 0 sends K and V of document 0, then of document 1, which rank 1 saves.
std::vector<Mutation> SavedMutations() {
  return {
      {"P25", "saved by the receiver only",
       [](auto& p) { Program(p, 0).parts[2].mutate_saved(false); }},
      {"P25", "saved by the sender only",
       [](auto& p) { Program(p, 0).parts[0].mutate_saved(true); }},
      {"P25", "not saved in a saved buffer",
       [](auto& p) {
         for (int rank : {0, 1}) {
           for (fbs::Part& part : Program(p, rank).parts) part.mutate_saved(false);
         }
       }},
      {"P6", "past the saved memory", [](auto& p) { Rank(p, 1).saved_bytes -= 1; }},
      {"P6", "places in the saved memory",
       [](auto& p) { Rank(p, 1).buffers[11].mutate_places(2); }},
      {"P6", "overlap in the saved memory",
       [](auto& p) { Rank(p, 1).buffers[12].mutate_offset(0); }},
      {"P26", "no sum of saved keys",
       [](auto& p) {
         for (fbs::Buffer& buffer : Rank(p, 1).buffers) {
           bool sum = buffer.kind() == fbs::BufferKind::remote_key_sum;
           if (sum) buffer.mutate_kind(fbs::BufferKind::remote_value_sum);
         }
       }},
      {"P26", "rows of outgoing keys",
       [](auto& p) {
         for (fbs::Buffer& buffer : Rank(p, 1).buffers) {
           if (buffer.kind() == fbs::BufferKind::outgoing_key) buffer.mutate_rows(5);
         }
       }},
      {"P26", "no outgoing values",
       [](auto& p) {
         for (fbs::Buffer& buffer : Rank(p, 1).buffers) {
           bool value = buffer.kind() == fbs::BufferKind::outgoing_value;
           if (value) buffer.mutate_kind(fbs::BufferKind::outgoing_key);
         }
       }},
      {"P28", "K and V that are not saved do not come again",
       [](auto& p) { Instruction(p, 1, 1).mutate_end(0); }},
  };
}

// Five stages in slots: each kind of buffer is reused in the round.
testing::ToyProblem ReusedToyProblem() {
  testing::ToyProblem problem;
  problem.ranks = 3;
  problem.remote_stages = 5;
  problem.reuse = true;
  for (uint32_t length : {23, 17, 9, 40, 7}) {
    problem.documents.push_back({length, testing::DealZigzag(length, 6, 3)});
  }
  return problem;
}

// Makes the instruction of a stage wait for nothing, or for what it waits for first only.
void KeepWaits(fbs::PlanT& plan, int rank, fbs::Opcode opcode, uint32_t stage, uint32_t count) {
  for (fbs::Instruction& instruction : Backward(plan, rank).instructions) {
    if (instruction.opcode() != opcode || instruction.stage() != stage) continue;
    instruction.mutate_wait_end(instruction.wait_begin() + count);
  }
}

// Puts the second buffer of a kind where the first one is.
void Overlap(fbs::RankPlanT* rank, fbs::BufferKind first, fbs::BufferKind second) {
  uint64_t offset = 0;
  for (const fbs::Buffer& buffer : rank->buffers) {
    if (buffer.kind() == first) offset = buffer.offset();
  }
  for (fbs::Buffer& buffer : rank->buffers) {
    if (buffer.kind() == second) buffer.mutate_offset(offset);
  }
}

std::vector<Mutation> ReuseMutations() {
  using Kind = fbs::BufferKind;
  using Opcode = fbs::Opcode;
  return {
      {"P6", "receives gradients before others are added",
       [](auto& p) { KeepWaits(p, 0, Opcode::exchange_gradients, 2, 1); }},
      {"P6", "sums of keys and values in one place",
       [](auto& p) { Overlap(&Rank(p, 0), Kind::remote_key_sum, Kind::remote_value_sum); }},
      {"P6", "sums in the place of the caller's",
       [](auto& p) { Overlap(&Rank(p, 0), Kind::key_sum, Kind::remote_key_sum); }},
      {"P6", "incoming gradients in the place of sums",
       [](auto& p) { Overlap(&Rank(p, 0), Kind::value_sum, Kind::incoming); }},
      {"P6", "delta in the place of Q's sums",
       [](auto& p) { Overlap(&Rank(p, 0), Kind::query_sum, Kind::delta); }},
  };
}

}  // namespace

std::vector<Broken> BrokenBackward() {
  return {{testing::SmallToyProblem(), BufferMutations()},
          {testing::SmallToyProblem(), ProgramMutations()},
          {testing::SmallToyProblem(), FlowMutations()},
          {testing::RelayedToyProblem(), RelayMutations()},
          {UnreadToyProblem(), UnreadMutations()},
          {OneRelayToyProblem(), OneRelayMutations()},
          {testing::SavedToyProblem(), SavedMutations()},
          {ReusedToyProblem(), ReuseMutations()}};
}

}  // namespace flashcp

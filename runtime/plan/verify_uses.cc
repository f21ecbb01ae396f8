// Names the buffers that each instruction uses, as docs/plan.md says what instructions do.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "runtime/plan/verify_rules.h"

namespace flashcp::verifier {
namespace {

using Kind = fbs::BufferKind;
using Opcode = fbs::Opcode;

constexpr uint32_t kNone = ~uint32_t{0};

// The buffers that belong to others, by index of these.
struct Relatives {
  uint32_t delta = kNone;
  uint32_t query_sum = kNone;
  std::vector<uint32_t> sum;       // of a key or value buffer, the caller's or remote or saved
  std::vector<uint32_t> gradient;  // where its gradients are rounded to: itself, or outgoing
  std::vector<uint32_t> incoming;  // by message: the buffer of its exchange, if that has sends
};

std::vector<uint32_t> BuffersOf(const RankView& rank, bool (*is_one)(Kind)) {
  std::vector<uint32_t> found;
  for (uint32_t i = 0; i < rank.buffers.size(); ++i) {
    if (is_one(rank.buffers[i].kind())) found.push_back(i);
  }
  return found;
}

// Gives the i-th buffer of one sort the i-th of another. P5 and P26 hold: there are as many.
void Relate(const RankView& rank, bool (*is_one)(Kind), bool (*is_relative)(Kind),
            std::vector<uint32_t>* relatives) {
  const std::vector<uint32_t> ones = BuffersOf(rank, is_one);
  const std::vector<uint32_t> others = BuffersOf(rank, is_relative);
  for (size_t i = 0; i < ones.size(); ++i) (*relatives)[ones[i]] = others[i];
}

template <Kind kind>
bool Is(Kind other) {
  return other == kind;
}

void FindIncoming(const RankView& rank, std::vector<uint32_t>* incoming) {
  const std::vector<uint32_t> buffers = BuffersOf(rank, Is<Kind::incoming>);
  size_t next = 0;
  incoming->assign(rank.messages.size(), kNone);
  for (const fbs::Instruction& exchange : rank.instructions) {
    if (exchange.opcode() != Opcode::exchange) continue;
    auto begin = rank.messages.begin() + exchange.begin();
    if (std::none_of(begin, rank.messages.begin() + exchange.end(), IsSend)) continue;
    std::fill(incoming->begin() + exchange.begin(), incoming->begin() + exchange.end(),
              buffers[next++]);
  }
}

Relatives FindRelatives(const RankView& rank) {
  Relatives found;
  found.delta = BuffersOf(rank, Is<Kind::delta>)[0];
  found.query_sum = BuffersOf(rank, Is<Kind::query_sum>)[0];
  found.sum.assign(rank.buffers.size(), kNone);
  Relate(rank, Is<Kind::key>, Is<Kind::key_sum>, &found.sum);
  Relate(rank, Is<Kind::value>, Is<Kind::value_sum>, &found.sum);
  Relate(rank, IsRemoteKey, Is<Kind::remote_key_sum>, &found.sum);
  Relate(rank, IsRemoteValue, Is<Kind::remote_value_sum>, &found.sum);
  found.gradient.resize(rank.buffers.size());
  std::iota(found.gradient.begin(), found.gradient.end(), 0);
  Relate(rank, Is<Kind::saved_key>, Is<Kind::outgoing_key>, &found.gradient);
  Relate(rank, Is<Kind::saved_value>, Is<Kind::outgoing_value>, &found.gradient);
  FindIncoming(rank, &found.incoming);
  return found;
}

// Calls visit(buffer) for the buffers of the parts of some messages that go in one direction.
template <typename Visit>
void ForEachPart(const RankView& rank, const fbs::Instruction& instruction,
                 fbs::Direction direction, const Visit& visit) {
  for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
    if (rank.messages[m].direction() != direction) continue;
    for (const fbs::Part& part : rank.PartsOf(rank.messages[m])) visit(part.buffer());
  }
}

// Calls visit(buffer) for the buffers that an instruction of a forward program uses.
template <typename Visit>
void ForEachUsed(const RankView& rank, const fbs::Instruction& instruction, const Visit& visit) {
  if (instruction.opcode() == Opcode::exchange) {
    ForEachPart(rank, instruction, fbs::Direction::send, visit);
    ForEachPart(rank, instruction, fbs::Direction::receive, visit);
    return;
  }
  for (uint32_t t = instruction.begin(); t < instruction.end(); ++t) {
    const fbs::Tile& tile = rank.tiles[t];
    visit(tile.key_buffer());
    visit(tile.value_buffer());
    if (!tile.first() || !tile.last()) visit(tile.accumulator_buffer());
  }
}

// The same for a backward program.
template <typename Visit>
void ForEachUsed(const RankView& rank, const Relatives& of, const fbs::Instruction& instruction,
                 const Visit& visit) {
  const auto visit_sum = [&](uint32_t buffer) { visit(of.sum[buffer]); };
  const auto visit_gradient = [&](uint32_t buffer) { visit(of.gradient[buffer]); };
  const auto visit_own_sums = [&] {
    visit(of.query_sum);
    for (uint32_t buffer : BuffersOf(rank, Is<Kind::key_sum>)) visit(buffer);
    for (uint32_t buffer : BuffersOf(rank, Is<Kind::value_sum>)) visit(buffer);
  };
  const bool any = instruction.begin() < instruction.end();
  switch (instruction.opcode()) {
    case Opcode::clear_gradients:
      if (instruction.stage() == 0) {
        visit(of.delta);
        visit_own_sums();
      }
      return ForEachPart(rank, instruction, fbs::Direction::receive, visit_sum);
    case Opcode::resend:
      ForEachPart(rank, instruction, fbs::Direction::send, visit);
      return ForEachPart(rank, instruction, fbs::Direction::receive, visit);
    case Opcode::attend_backward:
      if (any) visit(of.delta);
      if (any) visit(of.query_sum);
      for (uint32_t t = instruction.begin(); t < instruction.end(); ++t) {
        for (uint32_t buffer : {rank.tiles[t].key_buffer(), rank.tiles[t].value_buffer()}) {
          visit(buffer);
          visit_sum(buffer);
        }
      }
      return;
    case Opcode::pack_gradients:
      ForEachPart(rank, instruction, fbs::Direction::receive, visit_sum);
      return ForEachPart(rank, instruction, fbs::Direction::receive, visit_gradient);
    case Opcode::exchange_gradients:
      if (any && of.incoming[instruction.begin()] != kNone) visit(of.incoming[instruction.begin()]);
      return ForEachPart(rank, instruction, fbs::Direction::receive, visit_gradient);
    case Opcode::add_gradients:
      if (any && of.incoming[instruction.begin()] != kNone) visit(of.incoming[instruction.begin()]);
      return ForEachPart(rank, instruction, fbs::Direction::send, visit_sum);
    default:
      return visit_own_sums();  // store_gradients
  }
}

}  // namespace

void ForEachForwardUse(const RankView& rank, const UseVisitor& use) {
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    ForEachUsed(rank, rank.instructions[i], [&](uint32_t buffer) { use(i, buffer); });
  }
}

void ForEachBackwardUse(const RankView& rank, const UseVisitor& use) {
  const Relatives of = FindRelatives(rank);
  for (uint32_t i = 0; i < rank.backward.instructions.size(); ++i) {
    ForEachUsed(rank, of, rank.backward.instructions[i], [&](uint32_t buffer) { use(i, buffer); });
  }
}

}  // namespace flashcp::verifier

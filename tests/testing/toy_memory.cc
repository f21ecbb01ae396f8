// Places buffers one behind the other, or those of all stages in a few slots.

#include "tests/testing/toy_memory.h"

#include <algorithm>
#include <map>
#include <utility>

namespace flashcp::testing {
namespace {

using Kind = fbs::BufferKind;

constexpr int kKeySlots = 3;

uint64_t Align(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// What buffers of one slot have in common: their kind and a number.
using Slot = std::pair<Kind, int>;

// Tells the slots of the buffers of one rank, in the order of the table.
class Slots {
 public:
  Slots(const ToyProblem& problem, const fbs::RankPlanT& rank) : problem_(problem) {
    for (const fbs::Buffer& buffer : rank.buffers) {
      if (buffer.kind() == Kind::remote_key || buffer.kind() == Kind::saved_key) {
        summed_.push_back(buffer.kind());
      }
    }
    int stage = 0, hop = 0;
    for (const fbs::Instruction& exchange : rank.forward->instructions) {
      if (exchange.opcode() != fbs::Opcode::exchange) continue;
      hop = static_cast<int>(exchange.stage()) == stage ? hop + 1 : 0;
      stage = exchange.stage();
      bool sends = false;
      for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
        sends |= rank.forward->messages[m].direction() == fbs::Direction::send;
      }
      if (sends) hops_.push_back(hop);
    }
  }

  Slot Next(Kind kind) {
    const int number = numbers_[kind]++;
    if (!problem_.reuse) return {kind, number};
    switch (kind) {
      case Kind::remote_key:
      case Kind::remote_value:
        return {kind, number % kKeySlots};
      case Kind::remote_key_sum:
      case Kind::remote_value_sum: {
        // Sums of saved rows have slots of their own.
        if (summed_[number] == Kind::saved_key) return {kind, kOwn + number};
        const int stage = std::count(summed_.begin(), summed_.begin() + number, Kind::remote_key);
        return {kind, stage % (problem_.ranks_per_node > 1 ? 2 : 1)};
      }
      case Kind::incoming:
        return {kind, hops_[number]};
      default:
        return {kind, number};
    }
  }

 private:
  static constexpr int kOwn = 1000;

  const ToyProblem& problem_;
  std::vector<Kind> summed_;     // of the buffers that have a sum
  std::vector<int> hops_;        // of the exchanges with sends
  std::map<Kind, int> numbers_;  // of buffers so far
};

// Places slots in memories, in the order in which they are asked for.
class Offsets {
 public:
  explicit Offsets(const std::map<Slot, uint64_t>& sizes) : sizes_(sizes) {}

  uint64_t Find(const Slot& slot, uint64_t* memory) {
    auto [found, is_new] = offsets_.insert({slot, Align(*memory)});
    if (is_new) *memory = found->second + sizes_.at(slot);
    return found->second;
  }

 private:
  const std::map<Slot, uint64_t>& sizes_;
  std::map<Slot, uint64_t> offsets_;
};

bool IsRemote(Kind kind) { return kind == Kind::remote_key || kind == Kind::remote_value; }

}  // namespace

void PlaceToyBuffers(const ToyProblem& problem, fbs::RankPlanT* rank) {
  std::vector<Slot> slots;
  std::map<Slot, uint64_t> sizes;
  Slots all(problem, *rank);
  for (fbs::Buffer& buffer : rank->buffers) {
    const int places = IsRemote(buffer.kind()) ? problem.places : 1;
    buffer.mutate_places(places);
    const uint64_t bytes =
        uint64_t{buffer.rows()} * buffer.heads() * buffer.dim() * DTypeBytes(buffer.dtype());
    slots.push_back(all.Next(buffer.kind()));
    uint64_t& size = sizes[slots.back()];
    size = std::max(size, (places - 1) * Align(bytes) + bytes);
  }
  Offsets offsets(sizes);
  uint64_t remote = 0;
  auto place = [&](bool (*is_one)(Kind), uint64_t* memory) {
    for (size_t i = 0; i < slots.size(); ++i) {
      if (!is_one(slots[i].first)) continue;
      rank->buffers[i].mutate_offset(offsets.Find(slots[i], memory));
    }
  };
  place(IsRemote, &remote);
  rank->saved_bytes = 0;
  place([](Kind kind) { return kind == Kind::saved_key || kind == Kind::saved_value; },
        &rank->saved_bytes);
  rank->workspace_bytes = remote;
  place([](Kind kind) { return kind == Kind::accumulator; }, &rank->workspace_bytes);
  rank->backward_workspace_bytes = remote;
  place([](Kind kind) { return kind >= Kind::delta; }, &rank->backward_workspace_bytes);
}

ToyUse UseBefore(const ToyProblem& problem, const std::vector<bool>& has_rows, int stage) {
  if (!problem.reuse) return {stage, static_cast<uint32_t>(problem.places)};
  for (int before = stage - kKeySlots; before > 0; before -= kKeySlots) {
    if (has_rows[before]) return {before, 0};
  }
  int last = stage;
  for (int later = stage; later < has_rows.size(); later += kKeySlots) {
    if (has_rows[later]) last = later;
  }
  return {last, static_cast<uint32_t>(problem.places)};
}

}  // namespace flashcp::testing

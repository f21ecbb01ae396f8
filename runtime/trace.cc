// Names each instruction and adds up what it computes or moves.

#include "runtime/trace.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "model/band.h"
#include "runtime/plan/conversion.h"

namespace flashcp {
namespace {

using Opcode = fbs::Opcode;

std::string NameOf(const fbs::Instruction& instruction) {
  auto staged = [&](const char* what) {
    return absl::StrCat(what, " stage ", instruction.stage());
  };
  switch (instruction.opcode()) {
    case Opcode::attend:
      return staged("attend");
    case Opcode::exchange:
      return staged("exchange");
    case Opcode::resend:
      return staged("exchange re-sent");
    case Opcode::clear_gradients:
      return instruction.stage() == 0 ? "clear gradients" : staged("clear gradients");
    case Opcode::attend_backward:
      return staged("attend backward");
    case Opcode::pack_gradients:
      return staged("pack gradients");
    case Opcode::exchange_gradients:
      return staged("exchange gradients");
    case Opcode::add_gradients:
      return staged("add gradients");
    case Opcode::store_gradients:
      return "store gradients";
  }
  return "?";
}

// Names what the instructions of one rank do.
class EventMaker {
 public:
  EventMaker(const Plan& plan, int rank)
      : rank_(*plan->ranks()->Get(rank)), program_(*rank_.forward()) {}

  TraceEvent Make(const fbs::Instruction& instruction, bool backward) const {
    TraceEvent event;
    event.name = NameOf(instruction);
    event.backward = backward;
    event.stream = instruction.stream();
    event.stage = instruction.stage();
    switch (instruction.opcode()) {
      case Opcode::attend:
      case Opcode::attend_backward:
        event.tiles = instruction.end() - instruction.begin();
        event.pairs = PairsOf(instruction);
        break;
      case Opcode::exchange:
        AddMessages(instruction, /*with_saved=*/true, /*reversed=*/false, &event);
        break;
      case Opcode::resend:
        AddMessages(instruction, /*with_saved=*/false, /*reversed=*/false, &event);
        break;
      case Opcode::pack_gradients:
      case Opcode::exchange_gradients:
      case Opcode::add_gradients:
        AddMessages(instruction, /*with_saved=*/true, /*reversed=*/true, &event);
        break;
      case Opcode::clear_gradients:
        event.messages = ReceivesOf(instruction);
        break;
      case Opcode::store_gradients:
        break;
    }
    return event;
  }

 private:
  // `reversed`: what was received is sent. Packing touches what is sent only, adding what is
  // received.
  void AddMessages(const fbs::Instruction& instruction, bool with_saved, bool reversed,
                   TraceEvent* event) const {
    for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
      const fbs::Message& message = Items(program_.messages())[m];
      const uint64_t bytes = BytesOf(message, with_saved);
      if (bytes == 0) continue;
      const bool sends = (message.direction() == fbs::Direction::send) != reversed;
      if (sends && instruction.opcode() == Opcode::add_gradients) continue;
      if (!sends && instruction.opcode() == Opcode::pack_gradients) continue;
      ++event->messages;
      (sends ? event->send_bytes : event->receive_bytes) += bytes;
    }
  }

  uint64_t ReceivesOf(const fbs::Instruction& instruction) const {
    uint64_t receives = 0;
    for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
      receives += Items(program_.messages())[m].direction() == fbs::Direction::receive;
    }
    return receives;
  }

  uint64_t PairsOf(const fbs::Instruction& instruction) const {
    uint64_t pairs = 0;
    for (uint32_t t = instruction.begin(); t < instruction.end(); ++t) {
      const fbs::Tile& tile = Items(program_.tiles())[t];
      const auto range = [](int64_t begin, int64_t count) {
        return model::TokenRange{begin, begin + count};
      };
      pairs += CountPairs(ModelOf(tile.band()), range(tile.query_position(), tile.query_count()),
                          range(tile.key_position(), tile.key_count())) *
               (tile.head_end() - tile.head_begin());
    }
    return pairs;
  }

  uint64_t BytesOf(const fbs::Message& message, bool with_saved) const {
    uint64_t bytes = 0;
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      const fbs::Part& part = Items(program_.parts())[p];
      if (part.saved() && !with_saved) continue;
      const fbs::Buffer& buffer = Items(rank_.buffers())[part.buffer()];
      uint64_t rows = 0;
      for (uint32_t s = part.slice_begin(); s < part.slice_end(); ++s) {
        rows += Items(program_.slices())[s].count();
      }
      bytes +=
          rows * (part.head_end() - part.head_begin()) * buffer.dim() * DTypeBytes(buffer.dtype());
    }
    return bytes;
  }

  const fbs::RankPlan& rank_;
  const fbs::Program& program_;
};

// Whether an instruction that works on tiles or messages has none on this rank.
bool IsEmpty(const fbs::Instruction& instruction, const TraceEvent& event) {
  const bool whole = instruction.opcode() == Opcode::store_gradients ||
                     (instruction.opcode() == Opcode::clear_gradients && instruction.stage() == 0);
  return !whole && event.tiles == 0 && event.messages == 0;
}

// Exchanges that are under way at the same time get lanes of their own.
void ChooseLanes(absl::Span<TraceEvent> events) {
  std::vector<TraceEvent*> order;
  for (TraceEvent& event : events) {
    if (event.stream == fbs::Stream::communication) order.push_back(&event);
  }
  std::stable_sort(order.begin(), order.end(), [](const TraceEvent* a, const TraceEvent* b) {
    return a->span.begin_ns < b->span.begin_ns;
  });
  std::vector<int64_t> lane_ends;
  for (TraceEvent* event : order) {
    auto lane = std::find_if(lane_ends.begin(), lane_ends.end(),
                             [&](int64_t end) { return end <= event->span.begin_ns; });
    if (lane == lane_ends.end()) lane = lane_ends.insert(lane, 0);
    *lane = event->span.end_ns;
    event->lane = static_cast<int>(lane - lane_ends.begin());
  }
}

}  // namespace

std::vector<TraceEvent> TraceEvents(const Plan& plan, int rank, const RankTrace& trace) {
  const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
  const EventMaker maker(plan, rank);
  std::vector<TraceEvent> events;
  auto add = [&](absl::Span<const fbs::Instruction> instructions,
                 const std::vector<TraceSpan>& spans, bool backward) {
    for (uint32_t step = 0; step < spans.size(); ++step) {
      const uint32_t i = step % instructions.size();
      TraceEvent event = maker.Make(instructions[i], backward);
      if (IsEmpty(instructions[i], event)) continue;
      if (plan->head_groups() > 1) {
        absl::StrAppend(&event.name, " group ", step / instructions.size());
      }
      event.instruction = i;
      event.span = spans[step];
      events.push_back(std::move(event));
    }
  };
  add(Items(rank_plan.forward()->instructions()), trace.forward, false);
  add(Items(rank_plan.backward()->instructions()), trace.backward, true);
  ChooseLanes(absl::MakeSpan(events));
  return events;
}

}  // namespace flashcp

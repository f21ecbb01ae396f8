// The backward pass bound to buffers. It runs over the tiles and messages of the forward program: a
// message brings K/V again, without the rows that forward left, and its reverse brings their
// gradients home.

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>
#include <vector>

#include "runtime/plan/conversion.h"
#include "runtime/program/bound_program.h"

namespace flashcp {
namespace {

using Direction = Message::Direction;
using Kind = fbs::BufferKind;

// Gives the i-th buffer of these kinds the i-th of kind `partner`.
void PairUp(const RankBuffers& buffers, std::initializer_list<Kind> kinds, Kind partner,
            std::vector<uint32_t>* partners) {
  uint32_t next = 0;
  for (uint32_t b = 0; b < buffers.size(); ++b) {
    if (std::find(kinds.begin(), kinds.end(), buffers[b].kind()) == kinds.end()) continue;
    while (buffers[next].kind() != partner) ++next;
    (*partners)[b] = next++;
  }
}

// Where the gradients of the caller's rows are summed: in its tensors, if these are f32 and of the
// same rows as the sums, so that there is nothing to round; otherwise in buffers of their own.
struct OwnSums {
  explicit OwnSums(const Plan& plan)
      : in_tensors(plan->dtype() == fbs::DType::f32 && plan->head_groups() == 1),
        query(in_tensors ? Kind::query_gradient : Kind::query_sum),
        key(in_tensors ? Kind::key_gradient : Kind::key_sum),
        value(in_tensors ? Kind::value_gradient : Kind::value_sum) {}

  const bool in_tensors;
  const Kind query, key, value;
};

// The buffer of sums for each buffer of keys or values.
std::vector<uint32_t> PairSums(const RankBuffers& buffers, const OwnSums& own) {
  std::vector<uint32_t> sums(buffers.size());
  PairUp(buffers, {Kind::key}, own.key, &sums);
  PairUp(buffers, {Kind::value}, own.value, &sums);
  PairUp(buffers, {Kind::remote_key, Kind::saved_key}, Kind::remote_key_sum, &sums);
  PairUp(buffers, {Kind::remote_value, Kind::saved_value}, Kind::remote_value_sum, &sums);
  return sums;
}

// The buffer of rounded gradients for each buffer of received keys or values: itself, unless its
// rows must outlive the pass.
std::vector<uint32_t> PairGradients(const RankBuffers& buffers) {
  std::vector<uint32_t> gradients(buffers.size());
  PairUp(buffers, {Kind::remote_key}, Kind::remote_key, &gradients);
  PairUp(buffers, {Kind::remote_value}, Kind::remote_value, &gradients);
  PairUp(buffers, {Kind::saved_key}, Kind::outgoing_key, &gradients);
  PairUp(buffers, {Kind::saved_value}, Kind::outgoing_value, &gradients);
  return gradients;
}

// Binds the pass of one rank, instruction by instruction.
class BackwardBinder {
 public:
  BackwardBinder(const Plan& plan, int rank)
      : forward_(*plan->ranks()->Get(rank)->forward()),
        buffers_(plan, rank),
        own_sums_(plan),
        tags_(CountTags(forward_)),
        sum_of_(PairSums(buffers_, own_sums_)),
        gradient_of_(PairGradients(buffers_)),
        bound_(MakeSteps(plan, Items(plan->ranks()->Get(rank)->backward()->instructions()),
                         Items(plan->ranks()->Get(rank)->backward()->waits()))) {}

  BoundProgram Bind() {
    AddTables();
    FindIncoming();
    for (const fbs::Instruction& instruction : bound_.instructions) {
      bound_.bound.push_back(Bind(instruction));
    }
    return std::move(bound_);
  }

 private:
  LaunchTables& tables() { return bound_.tables; }

  void AddTables() {
    for (uint32_t b = 0; b < buffers_.size(); ++b) {
      tables().row_bytes.push_back(buffers_.RowBytes(b));
    }
    const uint32_t output = buffers_.Find(Kind::output);
    tables().products = {{output, buffers_.Find(Kind::output_gradient), buffers_.Find(Kind::delta),
                          buffers_[output].rows()}};
    for (const fbs::Tile& tile : Items(forward_.tiles())) {
      tables().backward.push_back(EntryOf(tile));
    }
  }

  BackwardEntry EntryOf(const fbs::Tile& tile) const {
    auto queries = [&](Kind kind) { return BufferRow{buffers_.Find(kind), tile.query_row()}; };
    BackwardEntry entry;
    entry.query = {tile.query_buffer(), tile.query_row()};
    entry.key = {tile.key_buffer(), tile.key_row()};
    entry.value = {tile.value_buffer(), tile.key_row()};
    entry.output_gradient = queries(Kind::output_gradient);
    entry.lse = {tile.lse_buffer(), tile.query_row()};
    entry.delta = queries(Kind::delta);
    entry.query_gradient = queries(own_sums_.query);
    entry.key_gradient = {sum_of_[tile.key_buffer()], tile.key_row()};
    entry.value_gradient = {sum_of_[tile.value_buffer()], tile.key_row()};
    entry.query_position = tile.query_position();
    entry.key_position = tile.key_position();
    entry.query_count = tile.query_count();
    entry.key_count = tile.key_count();
    entry.band = ModelOf(tile.band());
    entry.head_begin = static_cast<int>(tile.head_begin());
    entry.head_end = static_cast<int>(tile.head_end());
    return entry;
  }

  // Finds where the gradients of each sent message come back to: message after message in the
  // incoming buffer of its exchange, which is the next one for each exchange that sends.
  void FindIncoming() {
    incoming_.resize(Items(forward_.messages()).size());
    uint32_t buffer = 0;
    for (const fbs::Instruction& exchange : Items(forward_.instructions())) {
      if (!IsExchange(exchange)) continue;
      uint64_t offset = 0;
      bool sends = false;
      for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
        if (!IsSend(m)) continue;
        while (!sends && buffers_[buffer].kind() != Kind::incoming) ++buffer;
        sends = true;
        incoming_[m] = {buffer, offset};
        offset += Items(forward_.messages())[m].bytes();
      }
      if (sends) ++buffer;
    }
  }

  bool IsSend(uint32_t message) const {
    return Items(forward_.messages())[message].direction() == fbs::Direction::send;
  }

  // Calls use(part) for each part of a message.
  template <typename Use>
  void ForEachPart(uint32_t message, const Use& use) const {
    const fbs::Message& whole = *forward_.messages()->Get(message);
    for (uint32_t p = whole.part_begin(); p < whole.part_end(); ++p) use(*forward_.parts()->Get(p));
  }
  // Calls use(part, slice) for each slice of each part of a message.
  template <typename Use>
  void ForEachSlice(uint32_t message, const Use& use) const {
    ForEachPart(message, [&](const fbs::Part& part) {
      for (uint32_t s = part.slice_begin(); s < part.slice_end(); ++s) {
        use(part, *forward_.slices()->Get(s));
      }
    });
  }

  // The heads of a part in the first row of a slice, in a buffer of the same rows.
  BufferByte At(uint32_t buffer, const fbs::Part& part, const fbs::Slice& slice) const {
    return {buffer, slice.begin() * buffers_.RowBytes(buffer) +
                        part.head_begin() * buffers_.HeadBytes(buffer)};
  }
  uint64_t CountOf(const fbs::Part& part) const {
    return uint64_t{part.head_end() - part.head_begin()} * buffers_[part.buffer()].dim();
  }

  BoundInstruction Bind(const fbs::Instruction& instruction) {
    const uint32_t begin = instruction.begin(), end = instruction.end();
    BoundInstruction bound;
    switch (instruction.opcode()) {
      case fbs::Opcode::resend:
        AddResent(begin, end, &bound);
        break;
      case fbs::Opcode::exchange_gradients:
        AddReversed(begin, end, &bound);
        break;
      case fbs::Opcode::clear_gradients:
        bound.launches = instruction.stage() == 0 ? ClearOwn() : ClearReceived(begin, end);
        break;
      case fbs::Opcode::pack_gradients:
        bound.launches = PackGradients(begin, end);
        break;
      case fbs::Opcode::add_gradients:
        bound.launches = AddGradients(begin, end);
        break;
      case fbs::Opcode::store_gradients:
        bound.launches = StoreGradients();
        break;
      default:
        bound.launches = Launches(Launch::Kind::kAttendBackward, begin, end);
    }
    return bound;
  }

  std::vector<Launch> Clear(const std::set<uint32_t>& sums) {
    const uint32_t begin = tables().clears.size();
    for (uint32_t b : sums) tables().clears.push_back({b, buffers_.Elements(b)});
    return Launches(Launch::Kind::kClear, begin, tables().clears.size());
  }

  // The sums of the caller's rows; delta, too.
  std::vector<Launch> ClearOwn() {
    std::vector<Launch> launches =
        Clear({buffers_.Find(own_sums_.query), buffers_.Find(own_sums_.key),
               buffers_.Find(own_sums_.value)});
    launches.push_back({Launch::Kind::kSumProducts, 0, 1});
    return launches;
  }

  // The sums of the buffers that messages [begin, end) fill.
  std::vector<Launch> ClearReceived(uint32_t begin, uint32_t end) {
    std::set<uint32_t> sums;
    for (uint32_t m = begin; m < end; ++m) {
      if (IsSend(m)) continue;
      ForEachPart(m, [&](const fbs::Part& part) { sums.insert(sum_of_[part.buffer()]); });
    }
    return Clear(sums);
  }

  // From the sums of the rows that messages [begin, end) received to what is sent of them.
  std::vector<Launch> PackGradients(uint32_t begin, uint32_t end) {
    std::vector<MoveEntry>& moves = tables().moves;
    const uint32_t first = moves.size();
    for (uint32_t m = begin; m < end; ++m) {
      if (IsSend(m)) continue;
      ForEachSlice(m, [&](const fbs::Part& part, const fbs::Slice& slice) {
        const uint32_t sum = sum_of_[part.buffer()], gradient = gradient_of_[part.buffer()];
        moves.push_back({At(sum, part, slice), At(gradient, part, slice), CountOf(part),
                         slice.count(), buffers_.RowBytes(sum), buffers_.RowBytes(gradient)});
      });
    }
    return Launches(Launch::Kind::kRound, first, moves.size());
  }

  // From what came back to the sums of the rows that messages [begin, end) sent, in the order in
  // which it travels.
  std::vector<Launch> AddGradients(uint32_t begin, uint32_t end) {
    std::vector<MoveEntry>& moves = tables().moves;
    const uint32_t first = moves.size();
    for (uint32_t m = begin; m < end; ++m) {
      if (!IsSend(m)) continue;
      BufferByte incoming = incoming_[m];
      ForEachSlice(m, [&](const fbs::Part& part, const fbs::Slice& slice) {
        const uint32_t sum = sum_of_[part.buffer()];
        const uint64_t count = CountOf(part);
        const uint64_t bytes = count * DTypeBytes(buffers_[incoming.buffer].dtype());
        moves.push_back(
            {incoming, At(sum, part, slice), count, slice.count(), bytes, buffers_.RowBytes(sum)});
        incoming.offset += slice.count() * bytes;
      });
    }
    return Launches(Launch::Kind::kAdd, first, moves.size());
  }

  // Messages [begin, end) reversed.
  void AddReversed(uint32_t begin, uint32_t end, BoundInstruction* bound) const {
    for (uint32_t m = begin; m < end; ++m) {
      const fbs::Message& message = Items(forward_.messages())[m];
      Message reversed = {IsSend(m) ? Direction::kReceive : Direction::kSend,
                          static_cast<int>(message.peer()),
                          message.tag() | kGradientTag,
                          {}};
      if (IsSend(m)) {
        reversed.runs = {{incoming_[m].buffer, incoming_[m].offset, message.bytes()}};
      } else {
        ForEachPart(m, [&](fbs::Part part) {
          part.mutate_buffer(gradient_of_[part.buffer()]);
          AddPart(buffers_, forward_, part, &reversed);
        });
      }
      bound->messages.push_back(std::move(reversed));
      bound->round_tags.push_back(tags_[m]);
    }
  }

  // Messages [begin, end) without the parts that the receiver saved.
  void AddResent(uint32_t begin, uint32_t end, BoundInstruction* bound) const {
    for (uint32_t m = begin; m < end; ++m) {
      const fbs::Message& message = Items(forward_.messages())[m];
      Message again = {DirectionOf(message), static_cast<int>(message.peer()), message.tag(), {}};
      bool any = false;
      ForEachPart(m, [&](const fbs::Part& part) {
        if (part.saved()) return;
        AddPart(buffers_, forward_, part, &again);
        any = true;
      });
      if (!any) continue;
      bound->messages.push_back(std::move(again));
      bound->round_tags.push_back(tags_[m]);
    }
  }

  // From the sums of the caller's rows to its gradients.
  std::vector<Launch> StoreGradients() {
    if (own_sums_.in_tensors) return {};
    const uint32_t begin = tables().moves.size();
    for (auto [sum, gradient] : {std::pair(Kind::query_sum, Kind::query_gradient),
                                 std::pair(Kind::key_sum, Kind::key_gradient),
                                 std::pair(Kind::value_sum, Kind::value_gradient)}) {
      const uint32_t source = buffers_.Find(sum), target = buffers_.Find(gradient);
      const fbs::Buffer& shape = buffers_[source];
      tables().moves.push_back({{source, 0},
                                {target, 0},
                                uint64_t{shape.heads()} * shape.dim(),
                                shape.rows(),
                                buffers_.RowBytes(source),
                                buffers_.RowBytes(target)});
    }
    return {{Launch::Kind::kRound, begin, begin + 3}};
  }

  const fbs::Program& forward_;
  const RankBuffers buffers_;
  const OwnSums own_sums_;
  const std::vector<uint32_t> tags_;         // that a round has, by message of the plan
  const std::vector<uint32_t> sum_of_;       // by buffer of keys or values
  const std::vector<uint32_t> gradient_of_;  // by buffer of received keys or values
  BoundProgram bound_;
  std::vector<BufferByte> incoming_;  // by message of the plan that is a send
};

}  // namespace

BoundProgram BindBackward(const Plan& plan, int rank) { return BackwardBinder(plan, rank).Bind(); }

}  // namespace flashcp

// The backward pass bound to buffers. It runs over the tiles and messages of the forward program: a
// message brings K/V again, without the rows that forward left, and its reverse brings their
// gradients home.

#include <utility>
#include <vector>

#include "runtime/plan/conversion.h"
#include "runtime/program/bound_program.h"

namespace flashcp {
namespace {

using Direction = Message::Direction;
using Kind = fbs::BufferKind;

bool IsRemote(Kind kind) { return Kind::remote_key <= kind && kind <= Kind::saved_value; }
bool IsKey(Kind kind) {
  return kind == Kind::key || kind == Kind::remote_key || kind == Kind::saved_key;
}
bool IsSum(Kind kind) { return Kind::query_sum <= kind && kind <= Kind::remote_value_sum; }

// The buffer of sums for each buffer of keys or values. The i-th remote or saved key buffer has the
// i-th remote_key_sum, and so for values.
std::vector<uint32_t> PairSums(const RankBuffers& buffers) {
  std::vector<uint32_t> sum_of(buffers.size());
  uint32_t next_key_sum = 0, next_value_sum = 0;
  auto advance = [&](uint32_t* next, Kind kind) {
    while (buffers[*next].kind() != kind) ++*next;
    return (*next)++;
  };
  for (uint32_t b = 0; b < buffers.size(); ++b) {
    const Kind kind = buffers[b].kind();
    if (kind == Kind::key) sum_of[b] = buffers.Find(Kind::key_sum);
    if (kind == Kind::value) sum_of[b] = buffers.Find(Kind::value_sum);
    if (!IsRemote(kind)) continue;
    sum_of[b] = IsKey(kind) ? advance(&next_key_sum, Kind::remote_key_sum)
                            : advance(&next_value_sum, Kind::remote_value_sum);
  }
  return sum_of;
}

// Binds the pass of one rank, instruction by instruction.
class BackwardBinder {
 public:
  BackwardBinder(const Plan& plan, const fbs::RankPlan& rank)
      : forward_(*rank.forward()),
        buffers_(Items(rank.buffers())),
        sum_of_(PairSums(buffers_)),
        element_bytes_(DTypeBytes(plan->dtype())),
        bound_({plan,
                Items(rank.backward()->instructions()),
                Items(rank.backward()->waits()),
                {},
                {}}) {}

  BoundProgram Bind() {
    AddTables();
    AddGradients(Direction::kReceive, &first_packed_);
    AddGradients(Direction::kSend, &first_added_);
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
      if (IsSum(buffers_[b].kind())) tables().clears.push_back({b, buffers_.Elements(b)});
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
    entry.query_gradient = queries(Kind::query_sum);
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

  // The gradients of all messages that go this way, reversed: from the sums of received rows to
  // `outgoing`, or from `incoming` to the sums of sent rows, in the order in which they travel.
  // `first_move` gets the first move of each message.
  void AddGradients(Direction direction, std::vector<uint32_t>* first_move) {
    uint64_t packed = 0;
    gradients_.resize(Items(forward_.messages()).size());
    for (size_t m = 0; m < gradients_.size(); ++m) {
      first_move->push_back(tables().moves.size());
      const fbs::Message& message = Items(forward_.messages())[m];
      if (DirectionOf(message) != direction) continue;
      const bool sent = direction == Direction::kSend;
      const uint64_t first = packed;
      for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
        AddGradientRuns(Items(forward_.parts())[p], sent, &packed);
      }
      gradients_[m] = {sent ? Direction::kReceive : Direction::kSend,
                       static_cast<int>(message.peer()),
                       message.tag() | kGradientTag,
                       {{buffers_.Find(sent ? Kind::incoming : Kind::outgoing),
                         first * element_bytes_, (packed - first) * element_bytes_}}};
    }
    first_move->push_back(tables().moves.size());
  }

  void AddGradientRuns(const fbs::Part& part, bool sent, uint64_t* packed) {
    const fbs::Buffer& buffer = buffers_[part.buffer()];
    const uint64_t row = uint64_t{buffer.heads()} * buffer.dim();
    const uint64_t count = uint64_t{part.head_end() - part.head_begin()} * buffer.dim();
    for (uint32_t s = part.slice_begin(); s < part.slice_end(); ++s) {
      const fbs::Slice& slice = Items(forward_.slices())[s];
      const uint64_t first = slice.begin() * row + uint64_t{part.head_begin()} * buffer.dim();
      MoveEntry move;
      move.source = {sum_of_[part.buffer()], first * sizeof(float)};
      move.target = {buffers_.Find(sent ? Kind::incoming : Kind::outgoing),
                     *packed * element_bytes_};
      move.count = count;
      move.rows = slice.count();
      move.source_stride = row * sizeof(float);
      move.target_stride = count * element_bytes_;
      if (sent) {
        std::swap(move.source, move.target);
        std::swap(move.source_stride, move.target_stride);
      }
      tables().moves.push_back(move);
      *packed += count * slice.count();
    }
  }

  BoundInstruction Bind(const fbs::Instruction& instruction) {
    const uint32_t begin = instruction.begin(), end = instruction.end();
    switch (instruction.opcode()) {
      case fbs::Opcode::resend:
        return {{}, Resent(begin, end), {}};
      case fbs::Opcode::exchange_gradients:
        return {{}, {gradients_.begin() + begin, gradients_.begin() + end}, {}};
      case fbs::Opcode::clear_gradients:
        return {{{Launch::Kind::kClear, 0, static_cast<uint32_t>(tables().clears.size())},
                 {Launch::Kind::kSumProducts, 0, 1}},
                {},
                {}};
      case fbs::Opcode::pack_gradients:
        return {Launches(Launch::Kind::kRound, first_packed_[begin], first_packed_[end]), {}, {}};
      case fbs::Opcode::add_gradients:
        return {Launches(Launch::Kind::kAdd, first_added_[begin], first_added_[end]), {}, {}};
      case fbs::Opcode::store_gradients:
        return {StoreGradients(), {}, {}};
      default:
        return {Launches(Launch::Kind::kAttendBackward, begin, end), {}, {}};
    }
  }

  // Messages [begin, end) without the parts that the receiver saved.
  std::vector<Message> Resent(uint32_t begin, uint32_t end) const {
    std::vector<Message> messages;
    for (uint32_t m = begin; m < end; ++m) {
      const fbs::Message& message = Items(forward_.messages())[m];
      Message bound = {DirectionOf(message), static_cast<int>(message.peer()), message.tag(), {}};
      bool any = false;
      for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
        const fbs::Part& part = Items(forward_.parts())[p];
        if (part.saved()) continue;
        AddPart(buffers_, forward_, part, &bound);
        any = true;
      }
      if (any) messages.push_back(std::move(bound));
    }
    return messages;
  }

  // From the sums of the caller's rows to its gradients.
  std::vector<Launch> StoreGradients() {
    const uint32_t begin = tables().moves.size();
    for (auto [sum, gradient] : {std::pair(Kind::query_sum, Kind::query_gradient),
                                 std::pair(Kind::key_sum, Kind::key_gradient),
                                 std::pair(Kind::value_sum, Kind::value_gradient)}) {
      const uint32_t target = buffers_.Find(gradient);
      tables().moves.push_back({{buffers_.Find(sum), 0}, {target, 0}, buffers_.Elements(target)});
    }
    return {{Launch::Kind::kRound, begin, begin + 3}};
  }

  const fbs::Program& forward_;
  const RankBuffers buffers_;
  const std::vector<uint32_t> sum_of_;  // by buffer of keys or values
  const uint64_t element_bytes_;
  BoundProgram bound_;
  std::vector<Message> gradients_;                    // by message of the plan, reversed
  std::vector<uint32_t> first_packed_, first_added_;  // moves, by message of the plan
};

}  // namespace

BoundProgram BindBackward(const Plan& plan, int rank) {
  return BackwardBinder(plan, *plan->ranks()->Get(rank)).Bind();
}

}  // namespace flashcp

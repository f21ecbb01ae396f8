// Writes the backward pass of a toy plan by the rules of docs/plan.md alone.

#include "tests/testing/toy_backward.h"

#include <utility>
#include <vector>

namespace flashcp::testing {
namespace {

using Kind = fbs::BufferKind;

const fbs::Buffer& Find(const fbs::RankPlanT& rank, Kind kind) {
  for (const fbs::Buffer& buffer : rank.buffers) {
    if (buffer.kind() == kind) return buffer;
  }
  return rank.buffers.front();
}

// Rows of one head that all messages of one direction carry.
uint32_t RowsOfMessages(const fbs::RankPlanT& rank, fbs::Direction direction) {
  const fbs::Buffer& key = Find(rank, Kind::key);
  uint64_t bytes = 0;
  for (const fbs::Message& message : rank.forward->messages) {
    if (message.direction() == direction) bytes += message.bytes();
  }
  return bytes / (uint64_t{key.dim()} * DTypeBytes(key.dtype()));
}

// Builds the backward program of one rank.
class BackwardBuilder {
 public:
  explicit BackwardBuilder(const fbs::RankPlanT& rank) : forward_(*rank.forward) {
    for (const fbs::Instruction& instruction : forward_.instructions) {
      if (instruction.opcode() != fbs::Opcode::exchange) continue;
      if (instruction.begin() < instruction.end()) exchanges_.push_back({instruction});
    }
  }

  std::unique_ptr<fbs::BackwardProgramT> Build() {
    if (forward_.instructions.empty()) return std::move(program_);
    Add(fbs::Opcode::clear_gradients, 0, 0, 0, {});
    BringAgain();
    for (const fbs::Instruction& instruction : forward_.instructions) {
      if (instruction.opcode() == fbs::Opcode::attend) Attend(instruction);
    }
    for (const Exchange& exchange : exchanges_) {
      if (exchange.added) continue;
      Add(fbs::Opcode::add_gradients, exchange.forward, {exchange.gradients});
    }
    Add(fbs::Opcode::store_gradients, 0, 0, 0, {});
    return std::move(program_);
  }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // An exchange of the forward program, and the instructions that turn it round.
  struct Exchange {
    fbs::Instruction forward;
    uint32_t again = kNone;
    uint32_t gradients = kNone;
    bool added = false;
  };

  uint32_t Add(fbs::Opcode opcode, uint32_t begin, uint32_t end, uint32_t stage,
               const std::vector<uint32_t>& waits) {
    bool communication = opcode == fbs::Opcode::resend || opcode == fbs::Opcode::exchange_gradients;
    uint32_t wait = program_->waits.size();
    program_->waits.insert(program_->waits.end(), waits.begin(), waits.end());
    program_->instructions.push_back(
        fbs::Instruction(begin, end, wait, program_->waits.size(), stage, opcode,
                         communication ? fbs::Stream::communication : fbs::Stream::compute));
    return program_->instructions.size() - 1;
  }

  uint32_t Add(fbs::Opcode opcode, const fbs::Instruction& of, const std::vector<uint32_t>& waits) {
    return Add(opcode, of.begin(), of.end(), of.stage(), waits);
  }

  bool HasUnkeptParts(const fbs::Instruction& exchange) const {
    for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
      const fbs::Message& message = forward_.messages[m];
      for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
        if (!forward_.parts[p].saved()) return true;
      }
    }
    return false;
  }

  // Each exchange waits for the one before it of its stage, which may bring what it sends on.
  void BringAgain() {
    const Exchange* before = nullptr;
    for (Exchange& exchange : exchanges_) {
      if (!HasUnkeptParts(exchange.forward)) continue;
      bool follows = before != nullptr && before->forward.stage() == exchange.forward.stage();
      exchange.again =
          Add(fbs::Opcode::resend, exchange.forward,
              follows ? std::vector<uint32_t>{before->again} : std::vector<uint32_t>());
      before = &exchange;
    }
  }

  // The tiles of one stage; then the gradients of all that came by then leave, those of the last
  // exchange first, since it may have sent on what one before it brought.
  void Attend(const fbs::Instruction& attend) {
    size_t begin = attended_;
    while (attended_ < exchanges_.size() &&
           exchanges_[attended_].forward.stage() <= attend.stage()) {
      ++attended_;
    }
    std::vector<uint32_t> waits;
    for (size_t i = begin; i < attended_; ++i) {
      if (exchanges_[i].again != kNone) waits.push_back(exchanges_[i].again);
    }
    Add(fbs::Opcode::attend_backward, attend, waits);
    for (size_t i = attended_; i-- > begin;) {
      Exchange& exchange = exchanges_[i];
      uint32_t pack = Add(fbs::Opcode::pack_gradients, exchange.forward, {});
      exchange.gradients = Add(fbs::Opcode::exchange_gradients, exchange.forward, {pack});
      exchange.added = i > begin;
      if (!exchange.added) continue;
      Add(fbs::Opcode::add_gradients, exchange.forward, {exchange.gradients});
    }
  }

  const fbs::ProgramT& forward_;
  std::vector<Exchange> exchanges_;  // those that have messages
  size_t attended_ = 0;              // exchanges that an attend_backward has waited for
  std::unique_ptr<fbs::BackwardProgramT> program_ = std::make_unique<fbs::BackwardProgramT>();
};

}  // namespace

void AddToyBuffer(Kind kind, fbs::DType dtype, uint32_t rows, uint32_t heads, uint32_t dim,
                  uint64_t* memory, fbs::RankPlanT* rank) {
  uint64_t offset = 0;
  if (memory != nullptr) {
    offset = (*memory + 63) / 64 * 64;
    *memory = offset + uint64_t{rows} * heads * dim * DTypeBytes(dtype);
  }
  rank->buffers.push_back(fbs::Buffer(offset, rows, heads, dim, kind, dtype));
}

void AddToyBackwardBuffers(fbs::RankPlanT* rank) {
  auto add = [rank](Kind kind, fbs::DType dtype, uint32_t rows, uint32_t heads, uint32_t dim) {
    AddToyBuffer(kind, dtype, rows, heads, dim, &rank->backward_workspace_bytes, rank);
  };
  const std::vector<fbs::Buffer> before = rank->buffers;
  const fbs::Buffer query = Find(*rank, Kind::query);
  const fbs::Buffer key = Find(*rank, Kind::key);
  add(Kind::delta, fbs::DType::f32, query.rows(), query.heads(), 1);
  add(Kind::query_sum, fbs::DType::f32, query.rows(), query.heads(), query.dim());
  add(Kind::key_sum, fbs::DType::f32, key.rows(), key.heads(), key.dim());
  add(Kind::value_sum, fbs::DType::f32, key.rows(), key.heads(), key.dim());
  for (const fbs::Buffer& buffer : before) {
    bool keys = buffer.kind() == Kind::remote_key || buffer.kind() == Kind::saved_key;
    bool values = buffer.kind() == Kind::remote_value || buffer.kind() == Kind::saved_value;
    if (!keys && !values) continue;
    add(keys ? Kind::remote_key_sum : Kind::remote_value_sum, fbs::DType::f32, buffer.rows(),
        buffer.heads(), buffer.dim());
  }
  add(Kind::outgoing, key.dtype(), RowsOfMessages(*rank, fbs::Direction::receive), 1, key.dim());
  add(Kind::incoming, key.dtype(), RowsOfMessages(*rank, fbs::Direction::send), 1, key.dim());
}

std::unique_ptr<fbs::BackwardProgramT> MakeToyBackward(const fbs::RankPlanT& rank) {
  return BackwardBuilder(rank).Build();
}

}  // namespace flashcp::testing

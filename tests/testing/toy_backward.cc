// Writes the backward pass of a toy plan by the rules of docs/plan.md alone.

#include "tests/testing/toy_backward.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/testing/toy_memory.h"

namespace flashcp::testing {
namespace {

using Kind = fbs::BufferKind;

const fbs::Buffer& Find(const fbs::RankPlanT& rank, Kind kind) {
  for (const fbs::Buffer& buffer : rank.buffers) {
    if (buffer.kind() == kind) return buffer;
  }
  return rank.buffers.front();
}

// Rows of one head that the sends of an exchange carry.
uint32_t RowsSent(const fbs::RankPlanT& rank, const fbs::Instruction& exchange) {
  const fbs::Buffer& key = Find(rank, Kind::key);
  uint64_t bytes = 0;
  for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
    const fbs::Message& message = rank.forward->messages[m];
    if (message.direction() == fbs::Direction::send) bytes += message.bytes();
  }
  return bytes / (uint64_t{key.dim()} * DTypeBytes(key.dtype()));
}

bool IsRemote(Kind kind, bool unsaved) {
  bool saved = kind == Kind::saved_key || kind == Kind::saved_value;
  return kind == Kind::remote_key || kind == Kind::remote_value || (saved && !unsaved);
}

// Whether a message of an exchange, in one direction, has a part in a remote buffer.
bool UsesRows(const fbs::RankPlanT& rank, const fbs::Instruction& exchange,
              fbs::Direction direction, bool unsaved) {
  for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
    const fbs::Message& message = rank.forward->messages[m];
    if (message.direction() != direction) continue;
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      if (IsRemote(rank.buffers[rank.forward->parts[p].buffer()].kind(), unsaved)) return true;
    }
  }
  return false;
}

// Builds the backward program of one rank.
class BackwardBuilder {
 public:
  BackwardBuilder(const fbs::RankPlanT& rank, const ToyProblem& problem)
      : rank_(rank), problem_(problem), forward_(*rank.forward) {
    uint32_t hop = 0;
    for (const fbs::Instruction& instruction : forward_.instructions) {
      if (instruction.opcode() == fbs::Opcode::attend) hop = 0;
      if (instruction.opcode() != fbs::Opcode::exchange) continue;
      if (instruction.begin() < instruction.end()) exchanges_.push_back({instruction, hop});
      ++hop;
    }
  }

  std::unique_ptr<fbs::BackwardProgramT> Build() {
    if (!forward_.instructions.empty()) {
      if (problem_.reuse) {
        AddInSlots();
      } else {
        AddAtOnce();
      }
      Add(fbs::Opcode::store_gradients, 0, 0, 0, {});
      WaitForPlaces();
    }
    auto program = std::make_unique<fbs::BackwardProgramT>();
    WriteToySteps(steps_, &program->instructions, &program->waits);
    return program;
  }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // An exchange of the forward program, and the instructions that reverse it.
  struct Exchange {
    fbs::Instruction forward;
    uint32_t hop;  // exchanges of its stage before it
    uint32_t again = kNone;
    bool again_is_known = false;  // on the compute stream
    uint32_t gradients = kNone;
    uint32_t added = kNone;
  };

  // Everything comes at the start.
  void AddAtOnce() {
    Add(fbs::Opcode::clear_gradients, 0, 0, 0, {});
    for (Exchange& exchange : exchanges_) BringAgain(&exchange);
    for (const fbs::Instruction& attend : forward_.instructions) {
      if (attend.opcode() != fbs::Opcode::attend) continue;
      const size_t begin = attended_;
      Attend(attend);
      for (size_t i = attended_; i-- > begin;) {
        Pack(&exchanges_[i]);
        SendBack(&exchanges_[i], nullptr);
        if (i > begin) AddBack(&exchanges_[i]);
      }
    }
    for (Exchange& exchange : exchanges_) {
      if (exchange.added == kNone) AddBack(&exchange);
    }
  }

  // Each stage comes when the third before it has left. The gradients of its last hop leave at
  // once, those of the hop before it one stage later, when the last hop's have come back.
  void AddInSlots() {
    const int stages = problem_.remote_stages;
    const int hops = problem_.ranks_per_node > 1 ? 2 : 1;
    Add(fbs::Opcode::clear_gradients, 0, 0, 0, {});
    Attend(AttendOf(0));
    BringStageAgain(1);
    BringStageAgain(2);
    for (int stage = 1; stage <= stages + hops; ++stage) {
      if (stage <= stages) Attend(AttendOf(stage));
      for (int hop = hops; hop-- > 0;) {
        const int leaving = stage - (hops - 1 - hop);
        Exchange* exchange = Find(leaving, hop);
        Exchange* before = Find(leaving - 1, hop);
        if (exchange != nullptr) Pack(exchange);
        if (before != nullptr) AddBack(before);
        if (exchange != nullptr) SendBack(exchange, LastSend(leaving - 1, hop));
      }
      BringStageAgain(stage + 2);
    }
  }

  const fbs::Instruction& AttendOf(uint32_t stage) const {
    for (const fbs::Instruction& attend : forward_.instructions) {
      if (attend.opcode() == fbs::Opcode::attend && attend.stage() == stage) return attend;
    }
    return forward_.instructions.front();
  }

  Exchange* Find(int stage, uint32_t hop) {
    for (Exchange& exchange : exchanges_) {
      if (exchange.forward.stage() == stage && exchange.hop == hop) return &exchange;
    }
    return nullptr;
  }

  bool Sends(const Exchange& exchange) const { return RowsSent(rank_, exchange.forward) > 0; }

  // The last exchange of a hop that sends, of a stage or one before it.
  Exchange* LastSend(int stage, uint32_t hop) {
    for (; stage > 0; --stage) {
      Exchange* exchange = Find(stage, hop);
      if (exchange != nullptr && Sends(*exchange)) return exchange;
    }
    return nullptr;
  }

  uint32_t Add(fbs::Opcode opcode, uint32_t begin, uint32_t end, uint32_t stage,
               const std::vector<uint32_t>& waits) {
    bool communication = opcode == fbs::Opcode::resend || opcode == fbs::Opcode::exchange_gradients;
    steps_.push_back(
        {fbs::Instruction(begin, end, 0, 0, stage, opcode,
                          communication ? fbs::Stream::communication : fbs::Stream::compute),
         {}});
    for (uint32_t index : waits) steps_.back().waits.emplace_back(index, 0);
    return steps_.size() - 1;
  }

  uint32_t Add(fbs::Opcode opcode, const fbs::Instruction& of, const std::vector<uint32_t>& waits) {
    return Add(opcode, of.begin(), of.end(), of.stage(), waits);
  }

  bool HasUnsavedParts(const fbs::Instruction& exchange) const {
    for (uint32_t m = exchange.begin(); m < exchange.end(); ++m) {
      const fbs::Message& message = forward_.messages[m];
      for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
        if (!forward_.parts[p].saved()) return true;
      }
    }
    return false;
  }

  // An exchange that sends rows on waits for those of its stage before it, which brought them.
  void BringAgain(Exchange* exchange) {
    if (!HasUnsavedParts(exchange->forward)) return;
    std::vector<uint32_t> waits;
    for (Exchange* before = exchange; before-- != exchanges_.data();) {
      if (before->forward.stage() != exchange->forward.stage()) break;
      if (SendsRowsOn(rank_, exchange->forward, /*unsaved=*/true) && before->again != kNone) {
        waits.push_back(before->again);
      }
    }
    exchange->again = Add(fbs::Opcode::resend, exchange->forward, waits);
  }

  void BringStageAgain(int stage) {
    for (Exchange& exchange : exchanges_) {
      if (exchange.forward.stage() == stage) BringAgain(&exchange);
    }
  }

  // Clears the sums of the stage of exchanges_[first], and returns the first exchange after it.
  size_t Clear(size_t first) {
    const uint32_t stage = exchanges_[first].forward.stage();
    size_t end = first;
    while (end < exchanges_.size() && exchanges_[end].forward.stage() == stage) ++end;
    Add(fbs::Opcode::clear_gradients, exchanges_[first].forward.begin(),
        exchanges_[end - 1].forward.end(), stage, {});
    return end;
  }

  // Notes that what an exchange brings again is there, and all that it waits for.
  void Know(Exchange* exchange) {
    exchange->again_is_known = true;
    for (const fbs::Wait& wait : steps_[exchange->again].waits) {
      for (Exchange& before : exchanges_) {
        if (before.again == wait.instruction()) before.again_is_known = true;
      }
    }
  }

  // The tiles of one stage, when the rows are there that its exchanges, and those before, bring.
  void Attend(const fbs::Instruction& attend) {
    size_t begin = attended_;
    while (attended_ < exchanges_.size() &&
           exchanges_[attended_].forward.stage() <= attend.stage()) {
      attended_ = Clear(attended_);
    }
    std::vector<uint32_t> waits;
    for (size_t i = attended_; i-- > begin;) {
      Exchange& exchange = exchanges_[i];
      if (exchange.again == kNone || exchange.again_is_known) continue;
      if (!ReceivesRows(rank_, exchange.forward, /*unsaved=*/true)) continue;
      waits.push_back(exchange.again);
      Know(&exchange);
    }
    std::reverse(waits.begin(), waits.end());
    Add(fbs::Opcode::attend_backward, attend, waits);
  }

  // Gradients overwrite rows, so that whoever sends them on must be done.
  void Pack(Exchange* exchange) {
    std::vector<uint32_t> waits;
    for (Exchange& other : exchanges_) {
      if (other.forward.stage() != exchange->forward.stage() || other.again == kNone) continue;
      if (other.again_is_known || !SendsRowsOn(rank_, other.forward, /*unsaved=*/true)) continue;
      if (&other == exchange) continue;
      waits.push_back(other.again);
      Know(&other);
    }
    pack_ = Add(fbs::Opcode::pack_gradients, exchange->forward, waits);
  }

  // What comes back takes the place of what came back to `before`, if any.
  void SendBack(Exchange* exchange, const Exchange* before) {
    std::vector<uint32_t> waits = {pack_};
    if (before != nullptr && Sends(*exchange)) waits.push_back(before->added);
    exchange->gradients = Add(fbs::Opcode::exchange_gradients, exchange->forward, waits);
  }

  void AddBack(Exchange* exchange) {
    exchange->added = Add(fbs::Opcode::add_gradients, exchange->forward, {exchange->gradients});
  }

  // Rows come when the gradients that were in their place before have left, which is when those of
  // the first exchange of a stage have.
  void WaitForPlaces() {
    const std::vector<bool> has_rows = StagesWithRows(rank_, problem_.remote_stages);
    std::vector<bool> placed(has_rows.size());
    for (const Exchange& exchange : exchanges_) {
      const uint32_t stage = exchange.forward.stage();
      if (stage >= has_rows.size() || !has_rows[stage] || placed[stage]) continue;
      if (!ReceivesRows(rank_, exchange.forward, /*unsaved=*/true)) continue;
      placed[stage] = true;
      const ToyUse before = UseBefore(problem_, has_rows, stage);
      if (before.rounds >= problem_.head_groups) continue;
      for (const Exchange& other : exchanges_) {
        if (other.forward.stage() != before.stage) continue;
        steps_[exchange.again].waits.emplace_back(other.gradients, before.rounds);
        break;
      }
    }
  }

  const fbs::RankPlanT& rank_;
  const ToyProblem& problem_;
  const fbs::ProgramT& forward_;
  std::vector<Exchange> exchanges_;  // those that have messages
  size_t attended_ = 0;              // exchanges that an attend_backward has waited for
  uint32_t pack_ = kNone;            // the last pack_gradients
  std::vector<ToyStep> steps_;
};

}  // namespace

void WriteToySteps(const std::vector<ToyStep>& steps, std::vector<fbs::Instruction>* instructions,
                   std::vector<fbs::Wait>* waits) {
  for (const ToyStep& step : steps) {
    instructions->push_back(step.instruction);
    instructions->back().mutate_wait_begin(waits->size());
    waits->insert(waits->end(), step.waits.begin(), step.waits.end());
    instructions->back().mutate_wait_end(waits->size());
  }
}

bool ReceivesRows(const fbs::RankPlanT& rank, const fbs::Instruction& exchange, bool unsaved) {
  return UsesRows(rank, exchange, fbs::Direction::receive, unsaved);
}

bool SendsRowsOn(const fbs::RankPlanT& rank, const fbs::Instruction& exchange, bool unsaved) {
  return UsesRows(rank, exchange, fbs::Direction::send, unsaved);
}

std::vector<bool> StagesWithRows(const fbs::RankPlanT& rank, int stages) {
  std::vector<bool> has_rows(stages + 1);
  for (const fbs::Instruction& instruction : rank.forward->instructions) {
    if (instruction.opcode() != fbs::Opcode::exchange || instruction.stage() > stages) continue;
    if (ReceivesRows(rank, instruction, /*unsaved=*/true)) has_rows[instruction.stage()] = true;
  }
  return has_rows;
}

void AddToyBuffer(Kind kind, fbs::DType dtype, uint32_t rows, uint32_t heads, uint32_t dim,
                  fbs::RankPlanT* rank) {
  rank->buffers.push_back(fbs::Buffer(/*offset=*/0, rows, heads, dim, kind, dtype, /*places=*/1));
}

void AddToyBackwardBuffers(const ToyProblem& problem, fbs::RankPlanT* rank) {
  auto add = [rank](Kind kind, fbs::DType dtype, uint32_t rows, uint32_t heads, uint32_t dim) {
    AddToyBuffer(kind, dtype, rows, heads, dim, rank);
  };
  const std::vector<fbs::Buffer> before = rank->buffers;
  const fbs::Buffer query = Find(*rank, Kind::query);
  const fbs::Buffer key = Find(*rank, Kind::key);
  const uint32_t query_heads = query.heads() / problem.head_groups;
  const uint32_t key_heads = key.heads() / problem.head_groups;
  add(Kind::delta, fbs::DType::f32, query.rows(), query_heads, 1);
  add(Kind::query_sum, fbs::DType::f32, query.rows(), query_heads, query.dim());
  add(Kind::key_sum, fbs::DType::f32, key.rows(), key_heads, key.dim());
  add(Kind::value_sum, fbs::DType::f32, key.rows(), key_heads, key.dim());
  for (const fbs::Buffer& buffer : before) {
    bool keys = buffer.kind() == Kind::remote_key || buffer.kind() == Kind::saved_key;
    bool values = buffer.kind() == Kind::remote_value || buffer.kind() == Kind::saved_value;
    if (!keys && !values) continue;
    add(keys ? Kind::remote_key_sum : Kind::remote_value_sum, fbs::DType::f32, buffer.rows(),
        key_heads, buffer.dim());
  }
  for (const fbs::Buffer& buffer : before) {
    if (buffer.kind() != Kind::saved_key && buffer.kind() != Kind::saved_value) continue;
    add(buffer.kind() == Kind::saved_key ? Kind::outgoing_key : Kind::outgoing_value,
        buffer.dtype(), buffer.rows(), key_heads, buffer.dim());
  }
  for (const fbs::Instruction& instruction : rank->forward->instructions) {
    if (instruction.opcode() != fbs::Opcode::exchange) continue;
    const uint32_t rows = RowsSent(*rank, instruction);
    if (rows > 0) add(Kind::incoming, key.dtype(), rows, 1, key.dim());
  }
}

std::unique_ptr<fbs::BackwardProgramT> MakeToyBackward(const fbs::RankPlanT& rank,
                                                       const ToyProblem& problem) {
  return BackwardBuilder(rank, problem).Build();
}

}  // namespace flashcp::testing

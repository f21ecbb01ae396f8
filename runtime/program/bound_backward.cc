#include "runtime/program/bound_backward.h"

#include <algorithm>

#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

using Kind = fbs::BufferKind;

bool IsRemote(Kind kind) { return Kind::remote_key <= kind && kind <= Kind::saved_value; }
bool IsKey(Kind kind) {
  return kind == Kind::key || kind == Kind::remote_key || kind == Kind::saved_key;
}
bool IsSum(Kind kind) { return Kind::query_sum <= kind && kind <= Kind::remote_value_sum; }

}  // namespace

BoundBackward::BoundBackward(const Plan& plan, int rank, AttentionKernels* kernels)
    : BoundProgram(Items(plan->ranks()->Get(rank)->backward()->instructions()),
                   Items(plan->ranks()->Get(rank)->backward()->waits())),
      plan_(plan),
      forward_(*plan_->ranks()->Get(rank)->forward()),
      kernels_(kernels),
      spec_(KernelSpecOf(plan)),
      memory_(Items(plan_->ranks()->Get(rank)->buffers())),
      outgoing_(memory_.Find(Kind::outgoing)),
      incoming_(memory_.Find(Kind::incoming)),
      key_values_(&memory_),
      gradients_(&memory_),
      tiles_(Items(forward_.tiles()).size()) {
  PairSums();
  for (const fbs::Message& message : Items(forward_.messages())) AddMessage(message);
  first_key_value_.push_back(key_values_.size());
  first_packed_.push_back(packed_.size());
  first_added_.push_back(added_.size());
  key_values_.Finish();
  gradients_.Finish();
  packed_runs_.resize(packed_.size());
  added_runs_.resize(added_.size());
  stored_runs_.resize(3);
  cleared_.resize(std::count_if(memory_.buffers().begin(), memory_.buffers().end(),
                                [](const fbs::Buffer& buffer) { return IsSum(buffer.kind()); }));
}

// The i-th remote or saved key buffer has the i-th remote_key_sum, and so for values.
void BoundBackward::PairSums() {
  absl::Span<const fbs::Buffer> buffers = memory_.buffers();
  sum_of_.resize(buffers.size());
  uint32_t next_key_sum = 0, next_value_sum = 0;
  auto advance = [&](uint32_t* next, Kind kind) {
    while (buffers[*next].kind() != kind) ++*next;
    return (*next)++;
  };
  for (uint32_t b = 0; b < buffers.size(); ++b) {
    const Kind kind = buffers[b].kind();
    if (kind == Kind::key) sum_of_[b] = memory_.Find(Kind::key_sum);
    if (kind == Kind::value) sum_of_[b] = memory_.Find(Kind::value_sum);
    if (!IsRemote(kind)) continue;
    sum_of_[b] = IsKey(kind) ? advance(&next_key_sum, Kind::remote_key_sum)
                             : advance(&next_value_sum, Kind::remote_value_sum);
  }
}

void BoundBackward::AddMessage(const fbs::Message& message) {
  const bool sent = message.direction() == fbs::Direction::send;
  first_key_value_.push_back(key_values_.size());
  first_packed_.push_back(packed_.size());
  first_added_.push_back(added_.size());
  const uint64_t first = sent ? added_elements_ : packed_elements_;
  bool empty = true;
  for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
    const fbs::Part& part = Items(forward_.parts())[p];
    AddGradientRuns(part, sent);
    if (part.saved()) continue;
    if (empty) {
      key_values_.AddMessage(sent ? Transfer::Direction::kSend : Transfer::Direction::kReceive,
                             message.peer(), message.tag());
    }
    empty = false;
    key_values_.AddPart(part,
                        Items(forward_.slices())
                            .subspan(part.slice_begin(), part.slice_end() - part.slice_begin()));
  }
  const uint64_t end = sent ? added_elements_ : packed_elements_;
  const int bytes = DTypeBytes(plan_->dtype());
  gradients_.AddMessage(sent ? Transfer::Direction::kReceive : Transfer::Direction::kSend,
                        message.peer(), message.tag() | kGradientTag);
  gradients_.AddRun(sent ? incoming_ : outgoing_, first * bytes, (end - first) * bytes);
}

// The rows of one part, in the order in which they travel.
void BoundBackward::AddGradientRuns(const fbs::Part& part, bool sent) {
  const fbs::Buffer& buffer = memory_.buffers()[part.buffer()];
  std::vector<GradientRun>& runs = sent ? added_ : packed_;
  uint64_t& packed = sent ? added_elements_ : packed_elements_;
  const uint64_t row = uint64_t{buffer.heads()} * buffer.dim();
  const uint64_t count = uint64_t{part.head_end() - part.head_begin()} * buffer.dim();
  const uint32_t sum = sum_of_[part.buffer()];
  auto add = [&](uint64_t first, uint64_t size) {
    runs.push_back({sum, first, packed, size});
    packed += size;
  };
  for (uint32_t s = part.slice_begin(); s < part.slice_end(); ++s) {
    const fbs::Slice& slice = Items(forward_.slices())[s];
    if (count == row) {
      add(slice.begin() * row, slice.count() * row);
      continue;
    }
    for (uint64_t r = slice.begin(); r < uint64_t{slice.begin()} + slice.count(); ++r) {
      add(r * row + uint64_t{part.head_begin()} * buffer.dim(), count);
    }
  }
}

void BoundBackward::Bind(const MemoryBases& bases) {
  if (!memory_.Bind(bases)) return;
  key_values_.Bind();
  gradients_.Bind();
  for (size_t i = 0; i < packed_.size(); ++i) packed_runs_[i] = Resolve(packed_[i], true);
  for (size_t i = 0; i < added_.size(); ++i) added_runs_[i] = Resolve(added_[i], false);
  stored_runs_[0] = Whole(Kind::query_sum, Kind::query_gradient);
  stored_runs_[1] = Whole(Kind::key_sum, Kind::key_gradient);
  stored_runs_[2] = Whole(Kind::value_sum, Kind::value_gradient);
  size_t next = 0;
  absl::Span<const fbs::Buffer> buffers = memory_.buffers();
  for (uint32_t b = 0; b < buffers.size(); ++b) {
    if (!IsSum(buffers[b].kind())) continue;
    cleared_[next++] = {
        reinterpret_cast<float*>(memory_.First(b)),
        static_cast<int64_t>(uint64_t{buffers[b].rows()} * buffers[b].heads() * buffers[b].dim())};
  }
  absl::Span<const fbs::Tile> tiles = Items(forward_.tiles());
  for (size_t i = 0; i < tiles.size(); ++i) tiles_[i] = Resolve(tiles[i]);
}

ConvertedRun BoundBackward::Resolve(const GradientRun& run, bool received) const {
  char* sum = memory_.First(run.sum_buffer) + run.sum * sizeof(float);
  char* packed =
      memory_.First(received ? outgoing_ : incoming_) + run.packed * DTypeBytes(plan_->dtype());
  return received ? ConvertedRun{sum, packed, static_cast<int64_t>(run.count)}
                  : ConvertedRun{packed, sum, static_cast<int64_t>(run.count)};
}

ConvertedRun BoundBackward::Whole(Kind sum, Kind gradient) const {
  const fbs::Buffer& buffer = memory_.buffers()[memory_.Find(gradient)];
  return {memory_.First(memory_.Find(sum)), memory_.First(memory_.Find(gradient)),
          static_cast<int64_t>(uint64_t{buffer.rows()} * buffer.heads() * buffer.dim())};
}

BackwardTile BoundBackward::Resolve(const fbs::Tile& tile) const {
  auto queries = [&](Kind kind) { return memory_.Row(memory_.Find(kind), tile.query_row()); };
  auto keys = [&](uint32_t buffer) { return memory_.Row(buffer, tile.key_row()); };
  BackwardTile resolved;
  resolved.query = memory_.Row(tile.query_buffer(), tile.query_row());
  resolved.key = keys(tile.key_buffer());
  resolved.value = keys(tile.value_buffer());
  resolved.output_gradient = queries(Kind::output_gradient);
  resolved.lse = reinterpret_cast<float*>(memory_.Row(tile.lse_buffer(), tile.query_row()));
  resolved.delta = reinterpret_cast<float*>(queries(Kind::delta));
  resolved.query_gradient = reinterpret_cast<float*>(queries(Kind::query_sum));
  resolved.key_gradient = reinterpret_cast<float*>(keys(sum_of_[tile.key_buffer()]));
  resolved.value_gradient = reinterpret_cast<float*>(keys(sum_of_[tile.value_buffer()]));
  resolved.query_position = tile.query_position();
  resolved.key_position = tile.key_position();
  resolved.query_count = tile.query_count();
  resolved.key_count = tile.key_count();
  resolved.band = ModelOf(tile.band());
  resolved.head_begin = static_cast<int>(tile.head_begin());
  resolved.head_end = static_cast<int>(tile.head_end());
  return resolved;
}

absl::Span<const Transfer> BoundBackward::Transfers(const fbs::Instruction& instruction) const {
  if (instruction.opcode() == fbs::Opcode::exchange_gradients) {
    return gradients_.Get(instruction.begin(), instruction.end());
  }
  return key_values_.Get(first_key_value_[instruction.begin()],
                         first_key_value_[instruction.end()]);
}

absl::Span<const ConvertedRun> BoundBackward::Runs(const std::vector<ConvertedRun>& runs,
                                                   const std::vector<size_t>& first,
                                                   const fbs::Instruction& instruction) const {
  const size_t begin = first[instruction.begin()];
  return absl::MakeConstSpan(runs).subspan(begin, first[instruction.end()] - begin);
}

absl::Status BoundBackward::Launch(const fbs::Instruction& instruction, Device* device) {
  switch (instruction.opcode()) {
    case fbs::Opcode::clear_gradients: {
      const uint32_t output = memory_.Find(Kind::output);
      RETURN_IF_ERROR(device->Clear(cleared_));
      return device->SumProducts(
          spec_, {memory_.First(output), memory_.First(memory_.Find(Kind::output_gradient)),
                  reinterpret_cast<float*>(memory_.First(memory_.Find(Kind::delta))),
                  int64_t{memory_.buffers()[output].rows()}});
    }
    case fbs::Opcode::pack_gradients:
      return device->Round(spec_.element, Runs(packed_runs_, first_packed_, instruction));
    case fbs::Opcode::add_gradients:
      return device->Add(spec_.element, Runs(added_runs_, first_added_, instruction));
    case fbs::Opcode::store_gradients:
      return device->Round(spec_.element, stored_runs_);
    default:
      return device->AttendBackward(
          kernels_, absl::MakeConstSpan(tiles_).subspan(instruction.begin(),
                                                        instruction.end() - instruction.begin()));
  }
}

}  // namespace flashcp

#include "runtime/bound_program.h"

#include "runtime/kernel_spec.h"

namespace flashcp {

BoundProgram::BoundProgram(const Plan& plan, int rank, char* workspace)
    : plan_(plan),
      program_(*plan_->ranks()->Get(rank)->forward()),
      buffers_(Items(plan_->ranks()->Get(rank)->buffers())),
      instructions_(Items(program_.instructions())),
      workspace_(workspace),
      tiles_(Items(program_.tiles()).size()),
      bases_(buffers_.size()) {
  ResolveMessages();
}

uint64_t BoundProgram::RowBytes(uint32_t buffer) const {
  const fbs::Buffer& b = buffers_[buffer];
  return uint64_t{b.heads()} * b.dim() * DTypeBytes(b.dtype());
}

// Appends the bytes of a part; what continues the last run of the same message extends it.
void BoundProgram::AddRuns(const fbs::Part& part, size_t message_begin) {
  uint64_t row_bytes = RowBytes(part.buffer());
  uint64_t head_bytes = row_bytes / buffers_[part.buffer()].heads();
  uint64_t size = (part.head_end() - part.head_begin()) * head_bytes;
  absl::Span<const fbs::Slice> slices = Items(program_.slices());
  for (uint32_t s = part.slice_begin(); s < part.slice_end(); ++s) {
    for (uint64_t row = slices[s].begin(); row < uint64_t{slices[s].begin()} + slices[s].count();
         ++row) {
      uint64_t offset = row * row_bytes + part.head_begin() * head_bytes;
      bool extends = runs_.size() > message_begin && runs_.back().buffer == part.buffer() &&
                     runs_.back().offset + runs_.back().size == offset;
      if (extends) {
        runs_.back().size += size;
      } else {
        runs_.push_back({part.buffer(), offset, size});
      }
    }
  }
}

void BoundProgram::ResolveMessages() {
  std::vector<size_t> first_run;
  for (const fbs::Message& message : Items(program_.messages())) {
    first_run.push_back(runs_.size());
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      AddRuns(Items(program_.parts())[p], first_run.back());
    }
    transfers_.push_back({message.direction() == fbs::Direction::send
                              ? Transfer::Direction::kSend
                              : Transfer::Direction::kReceive,
                          static_cast<int>(message.peer()),
                          message.tag(),
                          {}});
  }
  first_run.push_back(runs_.size());
  bytes_.resize(runs_.size());
  for (size_t m = 0; m < transfers_.size(); ++m) {
    transfers_[m].runs =
        absl::MakeConstSpan(bytes_).subspan(first_run[m], first_run[m + 1] - first_run[m]);
  }
}

// Tensors that the program only reads lose their const here: Bytes serves sends and receives.
char* BoundProgram::Base(uint32_t buffer, const ForwardTensors& tensors) const {
  auto bytes = [](const void* data) { return static_cast<char*>(const_cast<void*>(data)); };
  switch (buffers_[buffer].kind()) {
    case fbs::BufferKind::query:
      return bytes(tensors.query);
    case fbs::BufferKind::key:
      return bytes(tensors.key);
    case fbs::BufferKind::value:
      return bytes(tensors.value);
    case fbs::BufferKind::output:
      return bytes(tensors.output);
    case fbs::BufferKind::lse:
      return bytes(tensors.lse);
    default:
      break;
  }
  return workspace_ + buffers_[buffer].offset();
}

void BoundProgram::Bind(const ForwardTensors& tensors) {
  bool changed = false;
  for (uint32_t b = 0; b < bases_.size(); ++b) {
    char* base = Base(b, tensors);
    changed |= base != bases_[b];
    bases_[b] = base;
  }
  if (!changed) return;
  for (size_t i = 0; i < runs_.size(); ++i) {
    bytes_[i] = {bases_[runs_[i].buffer] + runs_[i].offset, runs_[i].size};
  }
  absl::Span<const fbs::Tile> tiles = Items(program_.tiles());
  for (size_t i = 0; i < tiles.size(); ++i) tiles_[i] = Resolve(tiles[i]);
}

AttentionTile BoundProgram::Resolve(const fbs::Tile& tile) const {
  const fbs::Document& document = Items(plan_->documents())[tile.document()];
  bool partial = !(tile.first() && tile.last());
  AttentionTile resolved;
  resolved.query = Row(tile.query_buffer(), tile.query_row());
  resolved.key = Row(tile.key_buffer(), tile.key_row());
  resolved.value = Row(tile.value_buffer(), tile.key_row());
  resolved.output = Row(tile.output_buffer(), tile.query_row());
  resolved.lse = reinterpret_cast<float*>(Row(tile.lse_buffer(), tile.query_row()));
  resolved.accumulator =
      partial ? reinterpret_cast<float*>(Row(tile.accumulator_buffer(), tile.accumulator_row()))
              : nullptr;
  resolved.query_position = tile.query_position();
  resolved.key_position = tile.key_position();
  resolved.query_count = tile.query_count();
  resolved.key_count = tile.key_count();
  resolved.window = document.window();
  resolved.head_begin = static_cast<int>(tile.head_begin());
  resolved.head_end = static_cast<int>(tile.head_end());
  resolved.mask = MaskTypeOf(document.mask());
  resolved.first = tile.first();
  resolved.last = tile.last();
  return resolved;
}

absl::Span<const uint32_t> BoundProgram::Waits(const fbs::Instruction& instruction) const {
  return Items(program_.waits())
      .subspan(instruction.wait_begin(), instruction.wait_end() - instruction.wait_begin());
}

absl::Span<const AttentionTile> BoundProgram::Tiles(const fbs::Instruction& instruction) const {
  return absl::MakeConstSpan(tiles_).subspan(instruction.begin(),
                                             instruction.end() - instruction.begin());
}

absl::Span<const Transfer> BoundProgram::Transfers(const fbs::Instruction& instruction) const {
  return absl::MakeConstSpan(transfers_)
      .subspan(instruction.begin(), instruction.end() - instruction.begin());
}

}  // namespace flashcp

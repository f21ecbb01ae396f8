#include "runtime/program/bound_forward.h"

#include "runtime/plan/conversion.h"

namespace flashcp {
namespace {

Transfer::Direction DirectionOf(const fbs::Message& message) {
  return message.direction() == fbs::Direction::send ? Transfer::Direction::kSend
                                                     : Transfer::Direction::kReceive;
}

}  // namespace

BoundForward::BoundForward(const Plan& plan, int rank, AttentionKernels* kernels)
    : BoundProgram(Items(plan->ranks()->Get(rank)->forward()->instructions()),
                   Items(plan->ranks()->Get(rank)->forward()->waits())),
      plan_(plan),
      program_(*plan_->ranks()->Get(rank)->forward()),
      kernels_(kernels),
      memory_(Items(plan_->ranks()->Get(rank)->buffers())),
      messages_(&memory_),
      tiles_(Items(program_.tiles()).size()) {
  for (const fbs::Message& message : Items(program_.messages())) {
    messages_.AddMessage(DirectionOf(message), message.peer(), message.tag());
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      const fbs::Part& part = Items(program_.parts())[p];
      messages_.AddPart(part,
                        Items(program_.slices())
                            .subspan(part.slice_begin(), part.slice_end() - part.slice_begin()));
    }
  }
  messages_.Finish();
  for (size_t i = 0; i < tiles_.size(); ++i) {
    const fbs::Tile& tile = Items(program_.tiles())[i];
    tiles_[i].query_count = tile.query_count();
    tiles_[i].key_count = tile.key_count();
    tiles_[i].head_begin = tile.head_begin();
    tiles_[i].head_end = tile.head_end();
  }
  kernels_->Reserve(tiles_);
}

void BoundForward::Bind(const MemoryBases& bases) {
  if (!memory_.Bind(bases)) return;
  messages_.Bind();
  absl::Span<const fbs::Tile> tiles = Items(program_.tiles());
  for (size_t i = 0; i < tiles.size(); ++i) tiles_[i] = Resolve(tiles[i]);
}

AttentionTile BoundForward::Resolve(const fbs::Tile& tile) const {
  bool partial = !(tile.first() && tile.last());
  AttentionTile resolved;
  resolved.query = memory_.Row(tile.query_buffer(), tile.query_row());
  resolved.key = memory_.Row(tile.key_buffer(), tile.key_row());
  resolved.value = memory_.Row(tile.value_buffer(), tile.key_row());
  resolved.output = memory_.Row(tile.output_buffer(), tile.query_row());
  resolved.lse = reinterpret_cast<float*>(memory_.Row(tile.lse_buffer(), tile.query_row()));
  resolved.accumulator =
      partial
          ? reinterpret_cast<float*>(memory_.Row(tile.accumulator_buffer(), tile.accumulator_row()))
          : nullptr;
  resolved.query_position = tile.query_position();
  resolved.key_position = tile.key_position();
  resolved.query_count = tile.query_count();
  resolved.key_count = tile.key_count();
  resolved.band = ModelOf(tile.band());
  resolved.head_begin = static_cast<int>(tile.head_begin());
  resolved.head_end = static_cast<int>(tile.head_end());
  resolved.first = tile.first();
  resolved.last = tile.last();
  return resolved;
}

absl::Span<const Transfer> BoundForward::Transfers(const fbs::Instruction& instruction) const {
  return messages_.Get(instruction.begin(), instruction.end());
}

absl::Status BoundForward::Launch(const fbs::Instruction& instruction, Device* device) {
  return device->Attend(
      kernels_, absl::MakeConstSpan(tiles_).subspan(instruction.begin(),
                                                    instruction.end() - instruction.begin()));
}

}  // namespace flashcp

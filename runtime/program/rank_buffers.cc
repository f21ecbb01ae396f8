// Buffers of the caller are tensors of their own; the others lie at an offset of the saved memory
// or of the workspace.

#include "runtime/program/rank_buffers.h"

#include "runtime/plan/conversion.h"

namespace flashcp {
namespace {

constexpr uint64_t kAlignment = 64;  // of places

// A place further on in memory, if there is memory.
char* Behind(char* memory, uint64_t bytes) { return memory == nullptr ? nullptr : memory + bytes; }

}  // namespace

using Kind = fbs::BufferKind;

RankBuffers::RankBuffers(const Plan& plan, int rank)
    : buffers_(Items(plan->ranks()->Get(rank)->buffers())), rounds_(plan->head_groups()) {
  for (uint32_t b = 0; b < size(); ++b) by_kind_[static_cast<int>(buffers_[b].kind())] = b;
}

uint64_t RankBuffers::HeadBytes(uint32_t buffer) const {
  return uint64_t{buffers_[buffer].dim()} * DTypeBytes(buffers_[buffer].dtype());
}

uint64_t RankBuffers::Elements(uint32_t buffer) const {
  const fbs::Buffer& shape = buffers_[buffer];
  return uint64_t{shape.rows()} * shape.heads() * shape.dim();
}

void RankBuffers::Resolve(const MemoryBases& memory, absl::Span<char*> bases) const {
  for (uint32_t round = 0; round < rounds_; ++round) {
    const absl::Span<char*> of_round = bases.subspan(size_t{round} * (size() + 1), size() + 1);
    for (uint32_t b = 0; b < size(); ++b) of_round[b] = BaseOf(b, round, memory);
    of_round[staging()] = memory.staging;
  }
}

char* RankBuffers::BaseOf(uint32_t buffer, uint32_t round, const MemoryBases& memory) const {
  const fbs::Buffer& shape = buffers_[buffer];
  const Kind kind = shape.kind();
  const uint64_t first_head = round * (RowBytes(buffer) / rounds_);
  if (kind <= Kind::value_gradient) {
    return Behind(memory.tensors[static_cast<int>(kind)], first_head);
  }
  if (kind == Kind::saved_key || kind == Kind::saved_value) {
    return Behind(memory.saved, shape.offset() + first_head);
  }
  const uint64_t place =
      (shape.rows() * RowBytes(buffer) + kAlignment - 1) / kAlignment * kAlignment;
  return Behind(memory.workspace, shape.offset() + round % shape.places() * place);
}

}  // namespace flashcp

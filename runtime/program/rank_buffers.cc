// Buffers of the caller are tensors of their own; the others lie at an offset of the saved memory
// or of the workspace.

#include "runtime/program/rank_buffers.h"

namespace flashcp {

using Kind = fbs::BufferKind;

RankBuffers::RankBuffers(absl::Span<const fbs::Buffer> buffers) : buffers_(buffers) {
  for (uint32_t b = 0; b < buffers.size(); ++b) by_kind_[static_cast<int>(buffers[b].kind())] = b;
}

uint64_t RankBuffers::HeadBytes(uint32_t buffer) const {
  return uint64_t{buffers_[buffer].dim()} * DTypeBytes(buffers_[buffer].dtype());
}

uint64_t RankBuffers::Elements(uint32_t buffer) const {
  const fbs::Buffer& shape = buffers_[buffer];
  return uint64_t{shape.rows()} * shape.heads() * shape.dim();
}

void RankBuffers::Resolve(const MemoryBases& memory, absl::Span<char*> bases) const {
  for (uint32_t b = 0; b < size(); ++b) {
    const Kind kind = buffers_[b].kind();
    const bool saved = kind == Kind::saved_key || kind == Kind::saved_value;
    bases[b] = kind <= Kind::value_gradient
                   ? memory.tensors[static_cast<int>(kind)]
                   : (saved ? memory.saved : memory.workspace) + buffers_[b].offset();
  }
  bases[staging()] = memory.staging;
}

}  // namespace flashcp

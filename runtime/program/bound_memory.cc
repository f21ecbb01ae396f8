#include "runtime/program/bound_memory.h"

namespace flashcp {

BoundMemory::BoundMemory(absl::Span<const fbs::Buffer> buffers)
    : buffers_(buffers), first_(buffers.size()) {
  for (uint32_t b = 0; b < buffers.size(); ++b) by_kind_[static_cast<int>(buffers[b].kind())] = b;
}

bool BoundMemory::Bind(const MemoryBases& bases) {
  bool changed = false;
  for (uint32_t b = 0; b < buffers_.size(); ++b) {
    const fbs::BufferKind kind = buffers_[b].kind();
    const bool saved = kind == fbs::BufferKind::saved_key || kind == fbs::BufferKind::saved_value;
    char* first = kind <= fbs::BufferKind::value_gradient
                      ? bases.tensors[static_cast<int>(kind)]
                      : (saved ? bases.saved : bases.workspace) + buffers_[b].offset();
    changed |= first != first_[b];
    first_[b] = first;
  }
  return changed;
}

uint64_t BoundMemory::RowBytes(uint32_t buffer) const {
  return HeadBytes(buffer) * buffers_[buffer].heads();
}

uint64_t BoundMemory::HeadBytes(uint32_t buffer) const {
  return uint64_t{buffers_[buffer].dim()} * DTypeBytes(buffers_[buffer].dtype());
}

}  // namespace flashcp

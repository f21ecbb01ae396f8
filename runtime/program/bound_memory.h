// Where the buffers of one rank lie: the memories that a step is given, and the rows in them.

#ifndef FLASHCP_RUNTIME_PROGRAM_BOUND_MEMORY_H_
#define FLASHCP_RUNTIME_PROGRAM_BOUND_MEMORY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// First bytes of the memories that buffers lie in. Tensors that a program only reads lose their
// const here: one table serves sends and receives.
struct MemoryBases {
  std::array<char*, static_cast<int>(fbs::BufferKind::value_gradient) + 1> tensors = {};  // by kind
  char* saved = nullptr;
  char* workspace = nullptr;

  void Set(fbs::BufferKind kind, const void* tensor) {
    tensors[static_cast<int>(kind)] = static_cast<char*>(const_cast<void*>(tensor));
  }
};

// Used by one thread. The buffers belong to a plan that outlives this.
class BoundMemory {
 public:
  explicit BoundMemory(absl::Span<const fbs::Buffer> buffers);

  // Whether any buffer has moved since the last call.
  bool Bind(const MemoryBases& bases);

  absl::Span<const fbs::Buffer> buffers() const { return buffers_; }
  uint64_t RowBytes(uint32_t buffer) const;
  uint64_t HeadBytes(uint32_t buffer) const;  // of one head of one row
  char* First(uint32_t buffer) const { return first_[buffer]; }
  char* Row(uint32_t buffer, uint32_t row) const { return first_[buffer] + row * RowBytes(buffer); }

  // The only buffer of a kind that each rank has one of.
  uint32_t Find(fbs::BufferKind kind) const { return by_kind_[static_cast<int>(kind)]; }

 private:
  const absl::Span<const fbs::Buffer> buffers_;
  std::vector<char*> first_;
  std::array<uint32_t, static_cast<int>(fbs::BufferKind::MAX) + 1> by_kind_ = {};
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_BOUND_MEMORY_H_

// The buffers of one rank: their shapes, and where they lie in the memories that a pass is given,
// in each of its rounds.
//
// A round computes a group of heads. The caller's tensors and saved memory hold all heads: a buffer
// begins with the first head of the group. Buffers of a workspace hold one group's: round r finds
// it in place r modulo the number of places.

#ifndef FLASHCP_RUNTIME_PROGRAM_RANK_BUFFERS_H_
#define FLASHCP_RUNTIME_PROGRAM_RANK_BUFFERS_H_

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
  char* staging = nullptr;

  void Set(fbs::BufferKind kind, const void* tensor) {
    tensors[static_cast<int>(kind)] = static_cast<char*>(const_cast<void*>(tensor));
  }
};

// The plan outlives this.
class RankBuffers {
 public:
  RankBuffers(const Plan& plan, int rank);

  const fbs::Buffer& operator[](uint32_t buffer) const { return buffers_[buffer]; }
  uint32_t size() const { return buffers_.size(); }
  uint64_t RowBytes(uint32_t buffer) const { return HeadBytes(buffer) * buffers_[buffer].heads(); }
  uint64_t HeadBytes(uint32_t buffer) const;  // of one head of one row
  uint64_t Elements(uint32_t buffer) const;   // of one place

  // The only buffer of a kind that each rank has one of.
  uint32_t Find(fbs::BufferKind kind) const { return by_kind_[static_cast<int>(kind)]; }

  // The buffer that packed messages pass through: one behind those of the plan.
  uint32_t staging() const { return size(); }

  // How many bases a pass has: of each buffer, the staging buffer last, in each round.
  size_t num_bases() const { return size_t{rounds_} * (size() + 1); }
  // Sets them: the first byte that each buffer has in each round, round after round.
  void Resolve(const MemoryBases& memory, absl::Span<char*> bases) const;

 private:
  char* BaseOf(uint32_t buffer, uint32_t round, const MemoryBases& memory) const;

  const absl::Span<const fbs::Buffer> buffers_;
  const uint32_t rounds_;
  std::array<uint32_t, static_cast<int>(fbs::BufferKind::MAX) + 1> by_kind_ = {};
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_RANK_BUFFERS_H_

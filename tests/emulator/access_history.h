// The accesses to memory that later ones must know of: for each byte its last write, the reads
// since, and atomic operations. Accesses that others cover are forgotten.

#ifndef FLASHCP_TESTS_EMULATOR_ACCESS_HISTORY_H_
#define FLASHCP_TESTS_EMULATOR_ACCESS_HISTORY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "absl/container/inlined_vector.h"
#include "tests/emulator/vector_clock.h"

namespace flashcp::emulator {

enum class Proxy : uint8_t { kGeneric, kAsync };
enum class AccessKind : uint8_t { kRead, kWrite, kAtomic };

// An access to some bytes of a chunk of memory.
struct ChunkAccess {
  Actor actor;
  uint32_t time;
  uint32_t line;
  uint16_t bytes;  // A bit for each.
  AccessKind kind;
  Proxy proxy;
};
static_assert(sizeof(ChunkAccess) == 16);

// What is known of 16 bytes of memory, the unit of asynchronous copies and matrix operands.
struct MemoryChunk {
  static constexpr uint64_t kBytes = 16;

  absl::InlinedVector<ChunkAccess, 1> writes;  // And atomic operations.
  absl::InlinedVector<ChunkAccess, 2> reads;
};

class AccessHistory {
 public:
  // Returns the chunk at an address that is a multiple of its size.
  MemoryChunk& At(uint64_t address) {
    const uint64_t page = address / kPageBytes;
    if (page != last_page_ || last_ == nullptr) Find(page);
    return (*last_)[address % kPageBytes / MemoryChunk::kBytes];
  }

 private:
  static constexpr uint64_t kPageBytes = 4096;
  using Page = std::array<MemoryChunk, kPageBytes / MemoryChunk::kBytes>;

  void Find(uint64_t page) {
    std::unique_ptr<Page>& found = pages_[page];
    if (found == nullptr) found = std::make_unique<Page>();
    last_page_ = page;
    last_ = found.get();
  }

  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
  uint64_t last_page_ = 0;
  Page* last_ = nullptr;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_ACCESS_HISTORY_H_

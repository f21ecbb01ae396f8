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

// An access to some bytes of a word.
struct WordAccess {
  Actor actor;
  uint32_t time;
  uint32_t line : 24;
  uint32_t bytes : 4;  // A bit for each.
  AccessKind kind : 2;
  Proxy proxy : 1;
};
static_assert(sizeof(WordAccess) == 12);

// Two accesses conflict unless both only read, or both are atomic.
inline bool Conflict(AccessKind a, AccessKind b) { return a != b || a == AccessKind::kWrite; }

class AccessHistory {
 public:
  static constexpr uint64_t kWordBytes = 4;
  using Word = absl::InlinedVector<WordAccess, 2>;

  // Returns the accesses to the word at an address that is a multiple of kWordBytes.
  Word& At(uint64_t address) {
    const uint64_t page = address / kPageBytes;
    if (page != last_page_ || last_ == nullptr) Find(page);
    return (*last_)[address % kPageBytes / kWordBytes];
  }

 private:
  static constexpr uint64_t kPageBytes = 4096;
  using Page = std::array<Word, kPageBytes / kWordBytes>;

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

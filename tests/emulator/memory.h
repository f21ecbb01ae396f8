// Memory of the emulated device. Device addresses are host addresses, so that translated code loads
// and stores directly; what a kernel may touch is registered here, and everything else is an error.

#ifndef FLASHCP_TESTS_EMULATOR_MEMORY_H_
#define FLASHCP_TESTS_EMULATOR_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace flashcp::emulator {

struct Allocation {
  std::string name;  // For messages.
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

// The allocations of global memory. Safe for several threads; a launch uses what is registered when
// it starts.
class GlobalMemory {
 public:
  // The caller keeps the memory. Allocations must not overlap.
  void Register(absl::string_view name, const void* pointer, size_t bytes);
  template <typename T>
  void Register(absl::string_view name, std::vector<T>& values) {
    Register(name, values.data(), values.size() * sizeof(T));
  }
  void Unregister(const void* pointer);

  // Ordered by address.
  std::vector<Allocation> Snapshot() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<uintptr_t, Allocation> allocations_;
};

// A NaN of every float type, in each half, and an integer that no program means.
inline constexpr uint32_t kPoisonWord = 0x7fff7fff;

// Fills memory with kPoisonWord.
void Poison(void* pointer, size_t bytes);

// Finds the allocation that holds an access; remembers the last ones, since accesses come in runs.
class AllocationIndex {
 public:
  explicit AllocationIndex(std::vector<Allocation> allocations);

  // Returns the allocation that holds all of [address, address + bytes), or null.
  const Allocation* Find(uintptr_t address, size_t bytes) {
    const Allocation& recent = *recent_[Slot(address)];
    if (address >= recent.begin && address + bytes <= recent.end) return &recent;
    return Search(address, bytes);
  }

  // Returns "17 bytes past the end of \"lse\"" and the like.
  std::string Describe(uintptr_t address) const;

 private:
  static constexpr int kSlots = 64;
  static int Slot(uintptr_t address) { return address >> 12 & (kSlots - 1); }
  const Allocation* Search(uintptr_t address, size_t bytes);

  std::vector<Allocation> allocations_;
  Allocation none_;
  const Allocation* recent_[kSlots];
};

// A range of the host's low 2 GiB that serves as shared memory, since shared addresses have 32
// bits. Each CTA that is resident gets a window of 256 KiB, aligned to that, since matrix
// descriptors hold the low 18 bits of an address.
class SharedWindows {
 public:
  static constexpr uintptr_t kBase = 0x40000000;
  static constexpr size_t kWindowBytes = size_t{256} << 10;
  // Most shared memory of a CTA of sm_90, with the 1 KiB that belongs to the system.
  static constexpr size_t kSystemBytes = 1024;
  static constexpr size_t kMostBytes = size_t{228} << 10;

  // Takes `count` windows; waits until other launches of the process have given back enough.
  explicit SharedWindows(int count);
  ~SharedWindows();
  SharedWindows(const SharedWindows&) = delete;

  std::byte* Window(int i) const { return begin_ + i * kWindowBytes; }

  // Most windows of a process.
  static constexpr int kMostWindows = 1024;

 private:
  int first_;
  int count_;
  std::byte* begin_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_MEMORY_H_

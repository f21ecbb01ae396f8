// Allocations by address, and the windows of shared memory.

#include "tests/emulator/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bitset>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace flashcp::emulator {

void GlobalMemory::Register(absl::string_view name, const void* pointer, size_t bytes) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(pointer);
  absl::MutexLock lock(&mutex_);
  allocations_[begin] = {std::string(name), begin, begin + bytes};
}

void GlobalMemory::Unregister(const void* pointer) {
  absl::MutexLock lock(&mutex_);
  allocations_.erase(reinterpret_cast<uintptr_t>(pointer));
}

std::vector<Allocation> GlobalMemory::Snapshot() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Allocation> allocations;
  for (const auto& [begin, allocation] : allocations_) allocations.push_back(allocation);
  return allocations;
}

void Poison(void* pointer, size_t bytes) {
  uint8_t* at = static_cast<uint8_t*>(pointer);
  for (size_t i = 0; i < bytes; ++i) at[i] = i % 2 == 0 ? 0xff : 0x7f;
}

AllocationIndex::AllocationIndex(std::vector<Allocation> allocations)
    : allocations_(std::move(allocations)) {
  std::sort(allocations_.begin(), allocations_.end(),
            [](const Allocation& a, const Allocation& b) { return a.begin < b.begin; });
  std::fill(std::begin(recent_), std::end(recent_), &none_);
}

const Allocation* AllocationIndex::Search(uintptr_t address, size_t bytes) {
  auto after = std::upper_bound(
      allocations_.begin(), allocations_.end(), address,
      [](uintptr_t value, const Allocation& allocation) { return value < allocation.begin; });
  if (after == allocations_.begin()) return nullptr;
  const Allocation& candidate = *--after;
  if (address + bytes > candidate.end) return nullptr;
  recent_[Slot(address)] = &candidate;
  return &candidate;
}

std::string AllocationIndex::Describe(uintptr_t address) const {
  const Allocation* nearest = nullptr;
  uint64_t least = ~uint64_t{0};
  for (const Allocation& allocation : allocations_) {
    const uint64_t distance = address < allocation.begin ? allocation.begin - address
                              : address < allocation.end ? 0
                                                         : address - allocation.end;
    if (distance < least || nearest == nullptr) {
      least = distance;
      nearest = &allocation;
    }
  }
  if (nearest == nullptr) return "no global memory is registered";
  const std::string name =
      absl::StrCat("\"", nearest->name, "\" (", nearest->end - nearest->begin, " bytes)");
  if (address < nearest->begin) return absl::StrCat(least, " bytes before ", name);
  if (address < nearest->end) {
    return absl::StrCat("at byte ", address - nearest->begin, " of ", name);
  }
  return absl::StrCat(least, " bytes past the end of ", name);
}

namespace {

// The windows that launches of this process have taken.
class WindowPool {
 public:
  WindowPool() {
    void* const base = reinterpret_cast<void*>(SharedWindows::kBase);
    void* const got = mmap(
        base, SharedWindows::kMostWindows * SharedWindows::kWindowBytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != base) {
      std::fprintf(stderr, "emulator: no memory at %p for shared memory\n", base);
      std::abort();
    }
  }

  int Take(int count) {
    absl::MutexLock lock(&mutex_);
    int first = FindFree(count);
    while (first < 0) {
      returned_.Wait(&mutex_);
      first = FindFree(count);
    }
    for (int i = 0; i < count; ++i) taken_.set(first + i);
    return first;
  }

  void Return(int first, int count) {
    absl::MutexLock lock(&mutex_);
    for (int i = 0; i < count; ++i) taken_.reset(first + i);
    returned_.SignalAll();
  }

 private:
  int FindFree(int count) const {
    int run = 0;
    for (int i = 0; i < SharedWindows::kMostWindows; ++i) {
      run = taken_.test(i) ? 0 : run + 1;
      if (run == count) return i + 1 - count;
    }
    return -1;
  }

  absl::Mutex mutex_;
  absl::CondVar returned_;
  std::bitset<SharedWindows::kMostWindows> taken_;
};

WindowPool& Pool() {
  static WindowPool* const pool = new WindowPool;
  return *pool;
}

}  // namespace

SharedWindows::SharedWindows(int count)
    : first_(Pool().Take(count)),
      count_(count),
      begin_(reinterpret_cast<std::byte*>(kBase + first_ * kWindowBytes)) {}

SharedWindows::~SharedWindows() { Pool().Return(first_, count_); }

}  // namespace flashcp::emulator

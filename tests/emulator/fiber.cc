// Allocates stacks and writes the frame that the first switch to a fiber pops.

#include "tests/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace flashcp::emulator {

extern "C" void flashcp_fiber_begin();

namespace {

constexpr size_t kGuardBytes = 4096;
constexpr size_t kStride = FiberStacks::kStackBytes + kGuardBytes;

}  // namespace

FiberStacks::FiberStacks(int count) : bytes_(count * kStride) {
  void* const memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::fprintf(stderr, "emulator: no memory for %d stacks\n", count);
    std::abort();
  }
  memory_ = static_cast<std::byte*>(memory);
  for (int i = 0; i < count; ++i) mprotect(memory_ + i * kStride, kGuardBytes, PROT_NONE);
}

FiberStacks::~FiberStacks() { munmap(memory_, bytes_); }

void* FiberStacks::Start(int i, void (*entry)(void*), void* argument) {
  // Tops differ by cache lines: equal ones would fall into the same sets of the cache.
  std::byte* const top = memory_ + (i + 1) * kStride - 64 * (i * 7 % 32);
  void** stack = reinterpret_cast<void**>(top) - 2;
  *--stack = reinterpret_cast<void*>(flashcp_fiber_begin);
  *--stack = nullptr;                         // rbp
  *--stack = reinterpret_cast<void*>(entry);  // rbx
  *--stack = argument;                        // r12
  for (int saved = 0; saved < 3; ++saved) *--stack = nullptr;
  return stack;
}

}  // namespace flashcp::emulator

// Fibers: stacks of their own on one host thread, that switch to each other explicitly.

#ifndef FLASHCP_TESTS_EMULATOR_FIBER_H_
#define FLASHCP_TESTS_EMULATOR_FIBER_H_

#include <cstddef>
#include <vector>

namespace flashcp::emulator {

extern "C" {
// Saves the callee-saved registers and the stack pointer in *save, and goes on at `to`.
void flashcp_fiber_switch(void** save, void* to);
}

// Stacks of fibers. Each has an inaccessible page below it, so that an overflow is a fault.
class FiberStacks {
 public:
  static constexpr size_t kStackBytes = size_t{64} << 10;

  explicit FiberStacks(int count);
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;

  // Prepares stack i so that the first switch to the result calls entry(argument), which must not
  // return.
  void* Start(int i, void (*entry)(void*), void* argument);

 private:
  std::byte* memory_;
  size_t bytes_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_FIBER_H_

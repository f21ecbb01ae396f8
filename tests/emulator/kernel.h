// A kernel as the translator makes it and the engine runs it: host code, and what the code refers
// to. Sites stand for instructions that the engine executes.

#ifndef FLASHCP_TESTS_EMULATOR_KERNEL_H_
#define FLASHCP_TESTS_EMULATOR_KERNEL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "tests/emulator/memory.h"
#include "tests/emulator/ptx.h"

namespace flashcp::emulator {

struct Meeting;
struct Thread;

// An operand in the frame of a warp: a register of 32 bits, or two for 64.
struct FrameSlot {
  uint16_t first = 0;
  bool wide = false;
};

// An instruction that translated code calls the engine for. Arguments and results are slots of 64
// bits, or operands in the frame. Exactly one of `lane` and `warp` is set.
struct Site {
  const ptx::Instruction* instruction = nullptr;
  // Work of one thread, done on its fiber; it may block there.
  std::function<void(Thread&, const uint64_t* arguments, uint64_t* results)> lane;
  // Work of a warp, done by the scheduler once all its lanes wait here.
  std::function<void(const Meeting&)> warp;
  // The argument that names the lanes that meet, or kLiveLanes: those that have not exited.
  static constexpr int kLiveLanes = -1;
  int mask_argument = kLiveLanes;
  // Of an instruction with operands in the frame.
  std::vector<FrameSlot> frame_arguments;
  std::vector<uint16_t> frame_results;
};

// A load, store or atomic operation of a thread.
struct AccessSite {
  enum class Kind { kRead, kWrite, kAtomic };
  // Strong operations are those with another order than kWeak.
  enum class Order { kWeak, kRelaxed, kAcquire, kRelease, kAcquireRelease };

  const ptx::Instruction* instruction = nullptr;
  Kind kind = Kind::kRead;
  Order order = Order::kWeak;
  ptx::Space space = ptx::Space::kGeneric;
  int bytes = 0;
  int alignment = 1;
};

class Kernel {
 public:
  using Entry = void (*)(Thread* thread, const std::byte* parameters);

  ptx::Kernel code;
  // Where shared variables lie: from SharedWindows::kSystemBytes, dynamic memory last.
  size_t static_shared_bytes = 0;
  size_t dynamic_shared_offset = 0;  // from the start of the window
  size_t local_bytes = 0;
  int frame_registers = 0;
  bool has_dynamic_shared = false;
  std::vector<Allocation> variables;  // of the module
  std::deque<Site> sites;
  std::deque<AccessSite> accesses;
  Entry entry = nullptr;

  size_t parameter_bytes() const;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_KERNEL_H_

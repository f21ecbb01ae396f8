// Finds accesses of a grid to shared and global memory that nothing orders, whatever order they
// happen to run in. Threads and asynchronous operations (TMA copies, cp.async, wgmma) are actors
// with vector clocks; each byte of memory remembers its last write and the reads since. An access
// that does not know of a conflicting one is a race. After FastTrack, Flanagan and Freund, PLDI
// 2009, and the PTX ISA, "Memory Consistency Model".
//
// An asynchronous operation records its accesses when it is issued, as an actor of its own: they
// conflict with everything until threads learn of its end, so when it really runs does not matter.
//
// Proxies: TMA and wgmma access memory through the async proxy. Such an access must also know that
// the writer of generic writes fenced them (fence.proxy.async) before it synchronised. That is
// stricter than the ISA, which lets a later thread fence, and is what published kernels do. Writes
// of the async proxy need no fence, since their completion is one, nor do generic reads before such
// a write.

#ifndef FLASHCP_TESTS_EMULATOR_RACE_DETECTOR_H_
#define FLASHCP_TESTS_EMULATOR_RACE_DETECTOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "tests/emulator/access_history.h"
#include "tests/emulator/vector_clock.h"

namespace flashcp::emulator {

// Memory that a proxy fence covers.
enum class FenceSpace { kShared, kGlobal, kAll };

// Memory order of an atomic operation, and what it does. A reduction gives its thread no value, so
// that it acquires nothing.
enum class MemoryOrder { kRelaxed, kAcquire, kRelease, kAcquireRelease };
enum class AtomicKind { kLoad, kStore, kReadModifyWrite, kReduce };

class RaceDetector {
 public:
  // One address space: global memory, or the shared memory of a CTA, which has its number.
  using Memory = int;
  static constexpr Memory kGlobal = -1;
  static Memory SharedOf(uint16_t cta) { return cta; }

  // An object that actors of a CTA meet at: an mbarrier, a named barrier. Numbers are the caller's.
  struct SyncObject {
    uint16_t cta;
    uint64_t number;
  };

  struct Access {
    Actor actor;
    Memory memory = kGlobal;
    uint64_t address = 0;
    uint32_t bytes = 0;
    AccessKind kind = AccessKind::kRead;
    Proxy proxy = Proxy::kGeneric;
    int line = 0;  // Of the PTX text.
  };
  struct Race {
    Access earlier;  // The bytes in one word of it that conflict.
    Access later;
    bool lacks_proxy_fence;  // The accesses are ordered, but not across proxies.
  };

  RaceDetector();
  ~RaceDetector();

  // A CTA starts: its threads are the actors {cta, 0} to {cta, threads - 1}. When it ends, its
  // shared memory is forgotten, but not what it did to global memory.
  void StartCta(uint16_t cta, int threads);
  void EndCta(uint16_t cta);

  // An asynchronous operation starts after all that `threads`, of one CTA, did. Follow() orders its
  // further accesses after what they have done since. It ends with a wait of threads, Join(), or
  // with its arrival at an mbarrier, Arrive(): what it did comes before what those do next who
  // learn of it.
  Actor Fork(absl::Span<const Actor> threads);
  void Follow(Actor operation, absl::Span<const Actor> threads);
  void Join(absl::Span<const Actor> threads, Actor operation);

  // Checks and records an access. Returns the first conflict; such an access is not recorded fully.
  std::optional<Race> Check(const Access& access);
  // Checks an atomic operation of a thread, of at most 16 bytes and any scope, and synchronises: a
  // relaxed one together with fences around it. ld.volatile and st.volatile are relaxed.
  std::optional<Race> CheckAtomic(const Access& access, AtomicKind kind, MemoryOrder order);

  // What arrived before Complete() is what a later Wait() learns.
  void Arrive(Actor actor, SyncObject object);
  void Complete(SyncObject object);
  void Wait(Actor thread, SyncObject object);
  // bar.warp.sync: the threads learn of each other.
  void Synchronize(absl::Span<const Actor> threads);

  // fence.acq_rel, fence.sc, membar.
  void Fence(Actor thread);
  // fence.proxy.async, and fence.mbarrier_init for the init of mbarriers.
  void ProxyFence(Actor thread, FenceSpace space);

  // Whether the actor is a thread. An operation was started by the first thread of its Fork().
  bool IsThread(Actor actor) const;
  Actor StartedBy(Actor operation) const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// Returns "async write of 4 bytes", for messages.
std::string Describe(const RaceDetector::Access& access);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_RACE_DETECTOR_H_

// Runs a grid: threads are fibers of one host thread, warps take turns in the order of the
// schedule.
//
// A thread runs until it needs others: a collective for which its warp meets, a barrier, a copy, a
// value that another thread stores. Then the next lane runs, and the next warp. When nobody can go
// on, an asynchronous copy lands; when there is none, the grid is deadlocked.

#ifndef FLASHCP_TESTS_EMULATOR_ENGINE_H_
#define FLASHCP_TESTS_EMULATOR_ENGINE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tests/emulator/async_copy.h"
#include "tests/emulator/bulk_copies.h"
#include "tests/emulator/fiber.h"
#include "tests/emulator/kernel.h"
#include "tests/emulator/launch_options.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/named_barrier.h"
#include "tests/emulator/race_tracker.h"
#include "tests/emulator/warp.h"
#include "tests/emulator/wgmma_operations.h"

namespace flashcp::emulator {

class Engine;
struct Cta;
struct Warp;

// What translated code reads of its thread.
struct ThreadContext {
  std::array<uint32_t, 3> tid;
  std::array<uint32_t, 3> ntid;
  std::array<uint32_t, 3> ctaid;
  std::array<uint32_t, 3> nctaid;
  uint32_t laneid;
  uint32_t warpid;
  uint32_t nwarpid;
  uint32_t dynamic_shared_bytes;
  uint64_t shared_base;  // of the window of its CTA
  uint64_t local_base;
  uint32_t* frame;         // its lane of the warp's frame
  uint32_t branch_budget;  // backward branches until the thread yields
};

// Something that a thread is blocked by.
struct WaitKind {
  bool (*is_over)(const Thread& thread);
  std::string (*describe)(const Thread& thread);
};

// A try_wait that gave up: which, where and for what.
struct FailedWait {
  const Site* site = nullptr;
  uint64_t address = 0;
  uint64_t phase = 0;

  bool operator==(const FailedWait& other) const {
    return site == other.site && address == other.address && phase == other.phase;
  }
};

// A thread of a CTA; what each switch touches comes first.
struct alignas(64) Thread {
  // Exactly one at a time; kMeeting: at a collective that other lanes have not reached.
  enum class State : uint8_t { kReady, kMeeting, kBlocked, kPolling, kDone };
  static constexpr int kStates = 5;

  State state() const { return current; }
  void SetState(State next);
  int lane() const { return index % kLanes; }

  Engine* engine;
  Warp* warp;
  void* stack;
  // Where it is stopped, unless ready.
  const Site* site;
  const uint64_t* arguments;
  uint64_t* results;
  int index;      // in its CTA
  State current;  // set by SetState()
  ThreadContext context;
  Cta* cta;
  const WaitKind* wait;
  std::array<uint64_t, 2> wait_data;
  CopyGroups copies;
  BulkGroups bulk_groups;
  FailedWait failed_wait;
};

struct Warp {
  Cta* cta;
  int index;
  int lanes;
  Thread* threads;                                      // of its first lane
  std::array<uint32_t, Thread::kStates> in_state = {};  // masks of lanes
  // Registers of matrix instructions, which the engine works on where they are.
  std::vector<WarpRegister> frame;
  std::unique_ptr<WarpProducts> products;

  uint32_t existing() const { return lanes == kLanes ? ~0u : (1u << lanes) - 1; }
  uint32_t InState(Thread::State state) const { return in_state[static_cast<int>(state)]; }
  uint32_t live() const { return existing() & ~InState(Thread::State::kDone); }
};

inline void Thread::SetState(State next) {
  const uint32_t bit = 1u << lane();
  warp->in_state[static_cast<int>(current)] &= ~bit;
  warp->in_state[static_cast<int>(next)] |= bit;
  current = next;
}

struct Cta {
  explicit Cta(int num_threads) : threads(num_threads), barriers(num_threads) {}
  bool is_done() const { return exited == static_cast<int>(threads.size()); }

  int slot = 0;    // among the resident CTAs
  int number = 0;  // in the grid, x fastest
  std::byte* window = nullptr;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<WarpgroupProducts> warpgroups;
  NamedBarriers barriers;
  int exited = 0;
};

// Lanes of a warp that wait at one collective.
struct Meeting {
  Engine& engine;
  Warp& warp;
  const Site& site;
  uint32_t mask;

  bool Has(int lane) const { return mask >> lane & 1; }
  Thread& thread(int lane) const { return warp.threads[lane]; }
  uint64_t argument(int lane, int i) const;
  void SetResult(int lane, int i, uint64_t value) const;
  // Copies an argument of all lanes; those that did not come give any value.
  WarpRegister Gather(int i) const;
  void Scatter(int i, const WarpRegister& values) const;
};

inline uint64_t Meeting::argument(int lane, int i) const {
  if (site.frame_arguments.empty()) return thread(lane).arguments[i];
  const FrameSlot slot = site.frame_arguments[i];
  const uint64_t low = warp.frame[slot.first][lane];
  return slot.wide ? low | uint64_t{warp.frame[slot.first + 1][lane]} << 32 : low;
}

inline void Meeting::SetResult(int lane, int i, uint64_t value) const {
  if (site.frame_results.empty()) {
    thread(lane).results[i] = value;
  } else {
    warp.frame[site.frame_results[i]][lane] = static_cast<uint32_t>(value);
  }
}

class Engine {
 public:
  Engine(const Kernel& kernel, std::vector<std::byte> parameters, const GlobalMemory& memory,
         const LaunchOptions& options);
  ~Engine();

  absl::Status Run();

  bool failed() const { return !status_.ok(); }
  const Schedule& schedule() const { return options_.schedule; }
  // A number that depends on the schedule's seed alone.
  uint32_t Random(uint32_t bound) { return random_() % bound; }

  // For operations on a thread's fiber.
  void MeetWarp(Thread& thread);  // returns once the collective at thread.site is done
  void Block(Thread& thread, const WaitKind& wait, std::array<uint64_t, 2> data);
  void Poll(Thread& thread);
  [[noreturn]] void Fail(Thread& thread, absl::string_view what);
  [[noreturn]] void Fail(Thread& thread, const ptx::Instruction* instruction,
                         absl::string_view what);
  // Returns host memory of a shared address after its checks; fails the thread otherwise.
  std::byte* Shared(Thread& thread, uint64_t address, size_t bytes, size_t alignment);
  std::byte* Global(Thread& thread, uint64_t address, size_t bytes, size_t alignment);
  void Check(Thread& thread, uint64_t address, const AccessSite& site);

  // For operations of a meeting, which the scheduler runs: the error ends the launch after it.
  void FailMeeting(const Meeting& meeting, int lane, absl::string_view what);
  std::byte* Shared(const Meeting& meeting, int lane, uint64_t address, size_t bytes,
                    size_t alignment);

  // For what happens while no thread of the instruction runs: the error ends the launch.
  void FailLater(const Thread& thread, const ptx::Instruction* instruction, absl::string_view what);

  // Ends the turn of a thread for good if the launch has failed.
  void StopIfFailed(Thread& thread);

  // Null unless the launch looks for races.
  RaceTracker* races() { return races_.get(); }
  BulkCopies& bulk_copies() { return bulk_copies_; }
  // Shared memory of a CTA from the start of its window.
  absl::Span<const std::byte> SharedMemoryOf(const Cta& cta) const {
    return {cta.window, shared_end_};
  }

  // Stops a lane of the meeting until its wait is over.
  void BlockInMeeting(Thread& thread, const WaitKind& wait, std::array<uint64_t, 2> data);

  // Notes that something happened that others may have waited for.
  void NoteActivity() { ++activity_; }

 private:
  std::unique_ptr<Cta> StartCta(int slot, int number);
  void StartThread(Cta& cta, int index);
  void FinishThread(Thread& thread);
  void FinishCta(const Cta& cta);
  void FillSlots();
  bool RunRound();
  bool RunWarp(Warp& warp);
  bool CompleteMeetings(Warp& warp);
  void Wake(Warp& warp);
  Thread* NextReady(const Warp& warp) const;
  void SwitchAway(Thread& thread);
  uint32_t Came(const Warp& warp, uint32_t waiting, const Thread& first) const;
  std::vector<int> Ordered(Schedule::Order order, int count);
  absl::Status Deadlock() const;
  std::string Place(const Thread& thread, const ptx::Instruction* instruction) const;
  absl::Status ErrorAt(const Thread& thread, const ptx::Instruction* instruction,
                       absl::string_view what) const;
  bool IsLocal(const Thread& thread, uint64_t address, size_t bytes) const;
  std::string CheckShared(const Cta& cta, uint64_t address, size_t bytes, size_t alignment) const;
  std::string CheckGlobal(uint64_t address, size_t bytes, size_t alignment);

  const Kernel& kernel_;
  const std::vector<std::byte> parameters_;
  const LaunchOptions options_;
  AllocationIndex allocations_;
  const int num_threads_;  // of a CTA
  const int num_ctas_;
  const int num_slots_;
  const size_t shared_end_;  // offset in a window
  SharedWindows windows_;
  FiberStacks stacks_;
  std::vector<std::byte> local_;
  std::vector<std::unique_ptr<Cta>> slots_;  // null once the grid has no more CTAs
  BulkCopies bulk_copies_;
  std::unique_ptr<RaceTracker> races_;
  std::vector<int> cta_order_;
  size_t next_cta_ = 0;
  int finished_ctas_ = 0;
  uint64_t activity_ = 0;
  std::mt19937_64 random_;
  void* scheduler_stack_ = nullptr;
  absl::Status status_;

  friend void ThreadMain(void* thread);
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_ENGINE_H_

// Tells the race detector what a launch does: who accesses what, who waits for whom. A race ends
// the launch, with both accesses and their instructions.

#ifndef FLASHCP_TESTS_EMULATOR_RACE_TRACKER_H_
#define FLASHCP_TESTS_EMULATOR_RACE_TRACKER_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "tests/emulator/kernel.h"
#include "tests/emulator/race_detector.h"

namespace flashcp::emulator {

class Engine;
struct Cta;
struct Meeting;
struct Thread;

class RaceTracker {
 public:
  // The grid may have this many CTAs.
  static constexpr int kMostCtas = 1 << 16;

  RaceTracker(Engine* engine, const Kernel& kernel) : engine_(*engine), kernel_(kernel) {}

  void StartCta(const Cta& cta);
  void EndCta(const Cta& cta);

  // A load, store or atomic operation of a thread.
  void Access(const Thread& thread, const AccessSite& site, uint64_t address);
  // A plain access of the thread's instruction.
  void Access(const Thread& thread, const ptx::Instruction& instruction, uint64_t address,
              uint32_t bytes, AccessKind kind);
  // An access of an operation that a thread of the CTA started.
  void Access(const Cta& cta, Actor operation, const ptx::Instruction& instruction,
              uint64_t address, uint32_t bytes, AccessKind kind, Proxy proxy);

  // Operations of one thread, and of all lanes of a meeting.
  Actor Fork(const Thread& thread);
  Actor Fork(const Meeting& meeting);
  void Follow(Actor operation, const Thread& thread);
  void Follow(Actor operation, const Meeting& meeting);
  void Join(const Thread& thread, Actor operation);
  void Join(const Meeting& meeting, Actor operation);

  // Barriers and mbarriers of a CTA: numbers below kBarriers, and addresses.
  void Arrive(const Thread& thread, uint64_t object, bool completes);
  void Arrive(const Cta& cta, Actor operation, uint64_t object, bool completes);
  void Wait(const Thread& thread, uint64_t object);
  void Synchronize(const Meeting& meeting);

  void Fence(const Thread& thread);
  void ProxyFence(const Thread& thread, FenceSpace space);

 private:
  uint32_t NumberOf(const ptx::Instruction& instruction) const;
  void Report(const Cta& cta, const RaceDetector::Race& race);
  std::string DescribeActor(const Cta& cta, Actor actor) const;
  std::string DescribeEarlier(const Cta& cta, const RaceDetector::Access& access) const;

  Engine& engine_;
  const Kernel& kernel_;
  RaceDetector detector_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_RACE_TRACKER_H_

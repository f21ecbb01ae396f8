// Instructions are known to the detector by their number in the kernel: statements of inline
// assembly share a line.

#include "tests/emulator/race_tracker.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/emulator/deadlock.h"
#include "tests/emulator/engine.h"

namespace flashcp::emulator {
namespace {

Actor ActorOf(const Thread& thread) {
  return {static_cast<uint16_t>(thread.cta->number), static_cast<uint16_t>(thread.index)};
}

std::vector<Actor> ActorsOf(const Meeting& meeting) {
  std::vector<Actor> actors;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (meeting.Has(lane)) actors.push_back(ActorOf(meeting.thread(lane)));
  }
  return actors;
}

RaceDetector::Memory MemoryOf(const Cta& cta, uint64_t address) {
  const bool shared =
      address - reinterpret_cast<uintptr_t>(cta.window) < SharedWindows::kWindowBytes;
  return shared ? RaceDetector::SharedOf(cta.number) : RaceDetector::kGlobal;
}

RaceDetector::SyncObject ObjectOf(const Cta& cta, uint64_t object) {
  return {static_cast<uint16_t>(cta.number), object};
}

MemoryOrder OrderOf(AccessSite::Order order) {
  switch (order) {
    case AccessSite::Order::kAcquire:
      return MemoryOrder::kAcquire;
    case AccessSite::Order::kRelease:
      return MemoryOrder::kRelease;
    case AccessSite::Order::kAcquireRelease:
      return MemoryOrder::kAcquireRelease;
    default:
      return MemoryOrder::kRelaxed;
  }
}

AtomicKind AtomicKindOf(const AccessSite& site) {
  if (site.kind == AccessSite::Kind::kRead) return AtomicKind::kLoad;
  if (site.kind == AccessSite::Kind::kWrite) return AtomicKind::kStore;
  return site.instruction->opcode == "red" ? AtomicKind::kReduce : AtomicKind::kReadModifyWrite;
}

}  // namespace

void RaceTracker::StartCta(const Cta& cta) {
  detector_.StartCta(cta.number, static_cast<int>(cta.threads.size()));
}

void RaceTracker::EndCta(const Cta& cta) { detector_.EndCta(cta.number); }

uint32_t RaceTracker::NumberOf(const ptx::Instruction& instruction) const {
  return static_cast<uint32_t>(&instruction - kernel_.code.instructions.data());
}

void RaceTracker::Access(const Thread& thread, const AccessSite& site, uint64_t address) {
  const bool weak = site.order == AccessSite::Order::kWeak;
  if (weak && site.kind != AccessSite::Kind::kAtomic) {
    const bool read = site.kind == AccessSite::Kind::kRead;
    Access(thread, *site.instruction, address, site.bytes,
           read ? AccessKind::kRead : AccessKind::kWrite);
    return;
  }
  const auto race = detector_.CheckAtomic(
      {ActorOf(thread), MemoryOf(*thread.cta, address), address, static_cast<uint32_t>(site.bytes),
       AccessKind::kAtomic, Proxy::kGeneric, static_cast<int>(NumberOf(*site.instruction))},
      AtomicKindOf(site), OrderOf(site.order));
  if (race.has_value()) Report(*thread.cta, *race);
}

void RaceTracker::Access(const Thread& thread, const ptx::Instruction& instruction,
                         uint64_t address, uint32_t bytes, AccessKind kind) {
  Access(*thread.cta, ActorOf(thread), instruction, address, bytes, kind, Proxy::kGeneric);
}

void RaceTracker::Access(const Cta& cta, Actor operation, const ptx::Instruction& instruction,
                         uint64_t address, uint32_t bytes, AccessKind kind, Proxy proxy) {
  const auto race = detector_.Check({operation, MemoryOf(cta, address), address, bytes, kind, proxy,
                                     static_cast<int>(NumberOf(instruction))});
  if (race.has_value()) Report(cta, *race);
}

Actor RaceTracker::Fork(const Thread& thread) {
  const Actor actor = ActorOf(thread);
  return detector_.Fork(absl::MakeConstSpan(&actor, 1));
}
Actor RaceTracker::Fork(const Meeting& meeting) { return detector_.Fork(ActorsOf(meeting)); }

void RaceTracker::Follow(Actor operation, const Thread& thread) {
  const Actor actor = ActorOf(thread);
  detector_.Follow(operation, absl::MakeConstSpan(&actor, 1));
}
void RaceTracker::Follow(Actor operation, const Meeting& meeting) {
  detector_.Follow(operation, ActorsOf(meeting));
}

void RaceTracker::Join(const Thread& thread, Actor operation) {
  const Actor actor = ActorOf(thread);
  detector_.Join(absl::MakeConstSpan(&actor, 1), operation);
}
void RaceTracker::Join(const Meeting& meeting, Actor operation) {
  detector_.Join(ActorsOf(meeting), operation);
}

void RaceTracker::Arrive(const Thread& thread, uint64_t object, bool completes) {
  Arrive(*thread.cta, ActorOf(thread), object, completes);
}

void RaceTracker::Arrive(const Cta& cta, Actor operation, uint64_t object, bool completes) {
  detector_.Arrive(operation, ObjectOf(cta, object));
  if (completes) detector_.Complete(ObjectOf(cta, object));
}

void RaceTracker::Wait(const Thread& thread, uint64_t object) {
  detector_.Wait(ActorOf(thread), ObjectOf(*thread.cta, object));
}

void RaceTracker::Synchronize(const Meeting& meeting) { detector_.Synchronize(ActorsOf(meeting)); }

void RaceTracker::Fence(const Thread& thread) { detector_.Fence(ActorOf(thread)); }

void RaceTracker::ProxyFence(const Thread& thread, FenceSpace space) {
  detector_.ProxyFence(ActorOf(thread), space);
}

std::string RaceTracker::DescribeActor(const Cta& cta, Actor actor) const {
  const bool is_thread = detector_.IsThread(actor);
  const int index = is_thread ? actor.index : detector_.StartedBy(actor).index;
  return absl::StrCat(is_thread ? "" : "an operation that ", "thread ", index,
                      actor.cta == cta.number ? "" : absl::StrCat(" of CTA ", actor.cta),
                      is_thread ? "" : " started");
}

std::string RaceTracker::DescribeEarlier(const Cta& cta, const RaceDetector::Access& access) const {
  return absl::StrCat("the ", Describe(access), " by ", DescribeActor(cta, access.actor), " at ",
                      DescribeInstruction(kernel_.code.instructions[access.line]));
}

// The place of the error is that of the later access.
void RaceTracker::Report(const Cta& cta, const RaceDetector::Race& race) {
  const Actor later = race.later.actor;
  const Actor thread = detector_.IsThread(later) ? later : detector_.StartedBy(later);
  const char* const space = race.later.memory == RaceDetector::kGlobal ? "" : "shared ";
  const char* const reason =
      race.lacks_proxy_fence
          ? "its thread does not execute fence.proxy.async before the synchronisation between them"
          : "nothing orders them";
  engine_.FailLater(
      cta.threads[thread.index], &kernel_.code.instructions[race.later.line],
      absl::StrCat("data race at ", space, "address 0x", absl::Hex(race.earlier.address), ": the ",
                   Describe(race.later), " conflicts with ", DescribeEarlier(cta, race.earlier),
                   "; ", reason));
}

}  // namespace flashcp::emulator

// Copies of a thread, group by group. Early copies land when they start; late ones, and what is
// left of random ones, when a wait covers them.

#include "tests/emulator/async_copy.h"

#include <cstring>
#include <utility>

#include "tests/emulator/engine.h"
#include "tests/emulator/race_tracker.h"

namespace flashcp::emulator {
namespace {

void Land(AsyncCopy* copy) {
  if (copy->landed) return;
  copy->landed = true;
  std::memcpy(copy->shared, copy->global, copy->source_bytes);
  std::memset(copy->shared + copy->source_bytes, 0, copy->bytes - copy->source_bytes);
}

// Lands what is left of a group; the thread then knows of its copies.
void Complete(Thread& thread, CopyGroup* group) {
  for (AsyncCopy& copy : group->copies) Land(&copy);
  if (group->actor.has_value()) thread.engine->races()->Join(thread, *group->actor);
}

// cp.async is asynchronous, but an access of the generic proxy.
void TrackCopy(RaceTracker& races, Thread& thread, const AsyncCopy& copy) {
  std::optional<Actor>& group = thread.copies.open.actor;
  if (group.has_value()) {
    races.Follow(*group, thread);
  } else {
    group = races.Fork(thread);
  }
  const ptx::Instruction& instruction = *thread.site->instruction;
  races.Access(*thread.cta, *group, instruction, reinterpret_cast<uintptr_t>(copy.shared),
               copy.bytes, AccessKind::kWrite, Proxy::kGeneric);
  if (copy.source_bytes == 0) return;
  races.Access(*thread.cta, *group, instruction, reinterpret_cast<uintptr_t>(copy.global),
               copy.source_bytes, AccessKind::kRead, Proxy::kGeneric);
}

// Lands each copy with a chance of one half, if copies may land at any time.
void LandSome(Thread& thread) {
  if (thread.engine->schedule().copies != Schedule::Copies::kAny) return;
  for (auto& group : thread.copies.groups) {
    for (AsyncCopy& copy : group.copies) {
      if (thread.engine->Random(2) == 0) Land(&copy);
    }
  }
}

}  // namespace

void StartCopy(Thread& thread, const AsyncCopy& copy) {
  if (RaceTracker* const races = thread.engine->races()) TrackCopy(*races, thread, copy);
  thread.copies.open.copies.push_back(copy);
  if (thread.engine->schedule().copies == Schedule::Copies::kEarly) {
    Land(&thread.copies.open.copies.back());
  }
}

void CommitCopies(Thread& thread) {
  thread.copies.groups.push_back(std::exchange(thread.copies.open, {}));
  LandSome(thread);
}

void WaitCopyGroups(Thread& thread, uint32_t pending) {
  auto& groups = thread.copies.groups;
  LandSome(thread);
  while (groups.size() > pending) {
    Complete(thread, &groups.front());
    groups.pop_front();
  }
}

void WaitAllCopies(Thread& thread) {
  WaitCopyGroups(thread, 0);
  Complete(thread, &thread.copies.open);
  thread.copies.open = {};
}

}  // namespace flashcp::emulator

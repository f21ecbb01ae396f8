// Copies of a thread, group by group. Early copies land when they start; late ones, and what is
// left of random ones, when a wait covers them.

#include "tests/emulator/async_copy.h"

#include <cstring>
#include <utility>

#include "tests/emulator/engine.h"

namespace flashcp::emulator {
namespace {

void Land(AsyncCopy* copy) {
  if (copy->landed) return;
  copy->landed = true;
  std::memcpy(copy->shared, copy->global, copy->source_bytes);
  std::memset(copy->shared + copy->source_bytes, 0, copy->bytes - copy->source_bytes);
}

void LandAll(std::vector<AsyncCopy>* copies) {
  for (AsyncCopy& copy : *copies) Land(&copy);
}

// Lands each copy with a chance of one half, if copies may land at any time.
void LandSome(Thread& thread) {
  if (thread.engine->schedule().copies != Schedule::Copies::kAny) return;
  for (auto& group : thread.copies.groups) {
    for (AsyncCopy& copy : group) {
      if (thread.engine->Random(2) == 0) Land(&copy);
    }
  }
}

}  // namespace

void StartCopy(Thread& thread, const AsyncCopy& copy) {
  thread.copies.open.push_back(copy);
  if (thread.engine->schedule().copies == Schedule::Copies::kEarly) {
    Land(&thread.copies.open.back());
  }
}

void CommitCopies(Thread& thread) {
  thread.copies.groups.push_back(std::move(thread.copies.open));
  thread.copies.open.clear();
  LandSome(thread);
}

void WaitCopyGroups(Thread& thread, uint32_t pending) {
  auto& groups = thread.copies.groups;
  LandSome(thread);
  while (groups.size() > pending) {
    LandAll(&groups.front());
    groups.pop_front();
  }
}

void WaitAllCopies(Thread& thread) {
  WaitCopyGroups(thread, 0);
  LandAll(&thread.copies.open);
  thread.copies.open.clear();
}

}  // namespace flashcp::emulator

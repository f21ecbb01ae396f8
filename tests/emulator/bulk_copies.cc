// The late schedule lets the newest copy land first: the order of copies is not to be relied on.

#include "tests/emulator/bulk_copies.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/mbarrier.h"
#include "tests/emulator/race_tracker.h"

namespace flashcp::emulator {
namespace {

std::byte* SharedByte(uint32_t address) { return reinterpret_cast<std::byte*>(uintptr_t{address}); }

// Reads the chunks of a store one after another.
void ReadShared(BulkCopy* copy) {
  for (const TileChunk& chunk : copy->chunks) {
    const std::byte* const first = SharedByte(chunk.shared);
    copy->read.insert(copy->read.end(), first, first + chunk.bytes);
  }
  --copy->group->unread;
}

void WriteGlobal(const BulkCopy& copy) {
  const std::byte* read = copy.read.data();
  for (const TileChunk& chunk : copy.chunks) {
    if (copy.kind == BulkCopy::Kind::kStore) {
      StoreChunk(chunk, read);
    } else {
      ReduceAddF32(chunk, read);
    }
    read += chunk.bytes;
  }
  --copy.group->unwritten;
}

// Groups that have not read, or not written, beyond those that may be pending.
bool AreDone(const BulkGroups& groups, uint32_t pending, bool read) {
  for (size_t i = 0; i + pending < groups.committed.size(); ++i) {
    const BulkGroup& group = *groups.committed[i];
    if ((read ? group.unread : group.unwritten) > 0) return false;
  }
  return true;
}

template <bool kRead>
bool IsOver(const Thread& thread) {
  return AreDone(thread.bulk_groups, thread.wait_data[0], kRead);
}

std::string Describe(const Thread& thread) {
  return absl::StrCat(thread.bulk_groups.committed.size(), " groups of bulk copies are in flight");
}

// The thread learns of the end of what it waited for.
void JoinAll(Thread& thread, std::vector<Actor>* operations) {
  for (const Actor operation : *operations) thread.engine->races()->Join(thread, operation);
  operations->clear();
}

constexpr WaitKind kReadWait = {IsOver<true>, Describe};
constexpr WaitKind kWriteWait = {IsOver<false>, Describe};

}  // namespace

void BulkCopies::Start(BulkCopy copy) {
  if (copy.kind != BulkCopy::Kind::kLoad) {
    copy.group = copy.thread->bulk_groups.open;
    ++copy.group->unread;
    ++copy.group->unwritten;
  }
  if (engine_.schedule().copies == Schedule::Copies::kEarly) {
    while (!Advance(&copy)) {
    }
    return;
  }
  in_flight_.push_back(std::move(copy));
}

size_t BulkCopies::Choose() {
  if (engine_.schedule().copies == Schedule::Copies::kAny) {
    return engine_.Random(in_flight_.size());
  }
  return in_flight_.size() - 1;
}

bool BulkCopies::Step() {
  if (in_flight_.empty()) return false;
  const auto copy = in_flight_.begin() + Choose();
  if (Advance(&*copy)) in_flight_.erase(copy);
  engine_.NoteActivity();
  return true;
}

void BulkCopies::StepSome() {
  if (engine_.schedule().copies != Schedule::Copies::kAny) return;
  while (!in_flight_.empty() && engine_.Random(4) == 0) Step();
}

// Returns whether the copy is complete.
bool BulkCopies::Advance(BulkCopy* copy) {
  if (copy->kind == BulkCopy::Kind::kLoad) {
    Load(*copy);
    return true;
  }
  if (copy->read.empty()) {
    ReadShared(copy);
    return false;
  }
  WriteGlobal(*copy);
  return true;
}

void BulkCopies::Load(const BulkCopy& copy) {
  for (const TileChunk& chunk : copy.chunks) LoadChunk(chunk, SharedByte(chunk.shared));
  Mbarrier barrier(reinterpret_cast<uint64_t*>(copy.mbarrier));
  const auto completed = barrier.CompleteTx(copy.bytes);
  if (!completed.ok()) {
    engine_.FailLater(*copy.thread, copy.instruction, completed.status().message());
  } else if (RaceTracker* const races = engine_.races()) {
    races->Arrive(*copy.thread->cta, copy.actor, copy.mbarrier, *completed);
  }
}

const BulkCopy* BulkCopies::Finish(const Cta& cta) {
  for (auto copy = in_flight_.begin(); copy != in_flight_.end();) {
    if (copy->thread->cta != &cta) {
      ++copy;
      continue;
    }
    if (copy->read.empty()) return &*copy;
    Advance(&*copy);
    copy = in_flight_.erase(copy);
  }
  return nullptr;
}

void CommitBulkGroup(Thread& thread) {
  BulkGroups& groups = thread.bulk_groups;
  groups.committed.push_back(std::exchange(groups.open, std::make_shared<BulkGroup>()));
}

void WaitBulkGroups(Thread& thread, uint32_t pending, bool read) {
  thread.engine->Block(thread, read ? kReadWait : kWriteWait, {pending, 0});
  auto& committed = thread.bulk_groups.committed;
  for (size_t i = 0; i + pending < committed.size(); ++i) {
    JoinAll(thread, &committed[i]->readers);
    if (!read) JoinAll(thread, &committed[i]->writers);
  }
  while (committed.size() > pending && committed.front()->unwritten == 0 &&
         committed.front()->writers.empty()) {
    committed.pop_front();
  }
}

}  // namespace flashcp::emulator

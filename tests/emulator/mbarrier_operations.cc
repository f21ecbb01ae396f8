// Each operation checks the address, then works on the 64 bits there.

#include "tests/emulator/mbarrier_operations.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/emulator/mbarrier.h"
#include "tests/emulator/race_tracker.h"

namespace flashcp::emulator {
namespace {

constexpr size_t kObjectBytes = 8;

// Finds the object, which `kind` says how the operation accesses.
Mbarrier At(Thread& thread, uint64_t address, AccessKind kind = AccessKind::kAtomic) {
  std::byte* const object = thread.engine->Shared(thread, address, kObjectBytes, kObjectBytes);
  if (RaceTracker* const races = thread.engine->races()) {
    races->Access(thread, *thread.site->instruction, address, kObjectBytes, kind);
  }
  return Mbarrier(reinterpret_cast<uint64_t*>(object));
}

void Require(Thread& thread, const absl::Status& status) {
  if (!status.ok()) thread.engine->Fail(thread, status.message());
}

template <typename T>
T Require(Thread& thread, const absl::StatusOr<T>& result) {
  Require(thread, result.status());
  return *result;
}

absl::StatusOr<bool> Test(const Mbarrier& barrier, MbarrierPhase phase) {
  return phase.is_parity ? barrier.TestParity(phase.value) : barrier.Test(phase.value);
}

Mbarrier WaitedFor(const Thread& thread) {
  return Mbarrier(reinterpret_cast<uint64_t*>(thread.wait_data[0]));
}

// A thread whose object was overwritten goes on, and fails when it tests again.
template <bool kIsParity>
bool IsOver(const Thread& thread) {
  const auto complete = Test(WaitedFor(thread), {thread.wait_data[1], kIsParity});
  return !complete.ok() || *complete;
}

std::string Describe(const Thread& thread) {
  return absl::StrCat("the mbarrier at shared address 0x", absl::Hex(thread.wait_data[0]),
                      " is not complete: ", WaitedFor(thread).Describe());
}

constexpr WaitKind kParityWait = {IsOver<true>, Describe};
constexpr WaitKind kStateWait = {IsOver<false>, Describe};

}  // namespace

void InitMbarrier(Thread& thread, uint64_t address, uint32_t count) {
  Require(thread, At(thread, address, AccessKind::kWrite).Init(count));
}

void InvalidateMbarrier(Thread& thread, uint64_t address) {
  Require(thread, At(thread, address, AccessKind::kWrite).Invalidate());
}

uint64_t ArriveAtMbarrier(Thread& thread, uint64_t address, uint32_t count, uint32_t bytes) {
  Mbarrier barrier = At(thread, address);
  const uint64_t state = Require(thread, barrier.State());
  if (bytes > 0) Require(thread, barrier.ExpectTx(bytes));
  const bool completed = Require(thread, barrier.Arrive(count));
  if (RaceTracker* const races = thread.engine->races()) races->Arrive(thread, address, completed);
  thread.engine->NoteActivity();
  return state;
}

void ExpectBytes(Thread& thread, uint64_t address, uint32_t bytes) {
  Require(thread, At(thread, address).ExpectTx(bytes));
}

void CompleteBytes(Thread& thread, uint64_t address, uint32_t bytes) {
  const bool completed = Require(thread, At(thread, address).CompleteTx(bytes));
  if (RaceTracker* const races = thread.engine->races()) races->Arrive(thread, address, completed);
  thread.engine->NoteActivity();
}

bool TestMbarrier(Thread& thread, uint64_t address, MbarrierPhase phase) {
  const bool complete = Require(thread, Test(At(thread, address), phase));
  RaceTracker* const races = thread.engine->races();
  if (complete && races != nullptr) races->Wait(thread, address);
  return complete;
}

bool TryMbarrier(Thread& thread, uint64_t address, MbarrierPhase phase) {
  if (TestMbarrier(thread, address, phase)) return true;
  const FailedWait wait = {thread.site, address, phase.value};
  if (!(thread.failed_wait == wait)) {
    thread.failed_wait = wait;
    return false;
  }
  thread.failed_wait = {};
  thread.engine->Block(thread, phase.is_parity ? kParityWait : kStateWait, {address, phase.value});
  return TestMbarrier(thread, address, phase);
}

}  // namespace flashcp::emulator

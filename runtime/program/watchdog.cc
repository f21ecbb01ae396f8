// The watchdog polls the first pass alone: passes of an executor follow each other on its streams.
//
// std::mutex and std::condition_variable, not Abseil's: see threads_transport.cc.

#include "runtime/program/watchdog.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace flashcp {
namespace {

constexpr std::chrono::milliseconds kBetweenPolls{1};
constexpr absl::Duration kForever = absl::Hours(24 * 365);  // does not overflow the clock

}  // namespace

Watchdog::Watchdog(Transport* transport, absl::Duration timeout)
    : transport_(*transport), timeout_(timeout), thread_([this] { Run(); }) {}

Watchdog::~Watchdog() {
  {
    Lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watchdog::Watch(PassEvents* pass) {
  Lock lock(mutex_);
  pass->under_way = true;
  if (passes_.empty()) {
    next_ = -1;
    moved_ = Clock::now();
  }
  passes_.push_back(pass);
  changed_.notify_all();
}

absl::Status Watchdog::Await(absl::Duration timeout) {
  Lock lock(mutex_);
  const auto deadline = Clock::now() + absl::ToChronoNanoseconds(std::min(timeout, kForever));
  while (status_.ok() && !passes_.empty()) {
    Poll(&lock);
    if (!status_.ok() || passes_.empty()) break;
    if (Clock::now() >= deadline) {
      Fail(&lock, StandsStill(timeout));
    } else {
      changed_.wait_until(lock, std::min(deadline, Clock::now() + kBetweenPolls));
    }
  }
  return status_;
}

absl::Status Watchdog::status() const {
  Lock lock(mutex_);
  return status_;
}

void Watchdog::Run() {
  Lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || (!passes_.empty() && status_.ok()); });
    if (stop_) return;
    Poll(&lock);
    changed_.wait_for(lock, kBetweenPolls, [this] { return stop_; });
  }
}

// Finds out how far the first passes are, and whether the first one that is not done has failed. An
// exchange ends without its messages when the group of ranks ends, which Health has known before:
// so events are asked first.
void Watchdog::Poll(Lock* lock) {
  while (!passes_.empty()) {
    PassEvents& pass = *passes_.front();
    const int64_t size = static_cast<int64_t>(pass.done.size());
    absl::Status failed;
    while (next_ < size) {
      const absl::StatusOr<bool> done = (next_ < 0 ? pass.start : pass.done[next_])->Poll();
      if (!done.ok()) failed = done.status();
      if (!done.ok() || !*done) break;
      ++next_;
      moved_ = Clock::now();
    }
    if (failed.ok()) failed = transport_.Health();
    if (!failed.ok()) return Fail(lock, pass.program->At(FirstNotDone(), failed));
    if (next_ < size) break;
    passes_.pop_front();
    pass.under_way = false;
    next_ = -1;
    changed_.notify_all();
  }
  if (passes_.empty() || next_ < 0) return;
  if (absl::FromChrono(Clock::now() - moved_) >= timeout_) Fail(lock, StandsStill(timeout_));
}

// The first reason stays. All ranks learn it.
void Watchdog::Fail(Lock* lock, const absl::Status& status) {
  if (!status_.ok()) return;
  status_ = status;
  changed_.notify_all();
  lock->unlock();
  transport_.Abort(status);
  lock->lock();
}

absl::Status Watchdog::StandsStill(absl::Duration timeout) const {
  const PreparedProgram& program = *passes_.front()->program;
  const uint32_t step = FirstNotDone();
  return program.At(step, absl::DeadlineExceededError(
                              absl::StrCat("rank ", program.rank(), " waited ",
                                           absl::FormatDuration(timeout), program.Awaited(step))));
}

uint32_t Watchdog::FirstNotDone() const {
  const int64_t last = static_cast<int64_t>(passes_.front()->done.size()) - 1;
  return static_cast<uint32_t>(std::clamp<int64_t>(next_, 0, std::max<int64_t>(last, 0)));
}

}  // namespace flashcp

// A thread that polls MPI every 50 us while it may.

#include "runtime/mpi/mpi_progress.h"

#include <signal.h>

#include <chrono>
#include <utility>

namespace flashcp {
namespace {

using Clock = std::chrono::steady_clock;

// Between two polls. A poll that took long has moved a piece of a message: the next comes at once.
constexpr std::chrono::microseconds kSleep{50};
constexpr std::chrono::microseconds kBusyPoll{15};

}  // namespace

MpiProgress::~MpiProgress() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void MpiProgress::Start(std::function<bool()> poll) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits it
  thread_ = std::thread([this, poll = std::move(poll)] { Run(poll); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void MpiProgress::SetOpen(bool open) {
  if (open_ == open) return;
  open_ = open;
  if (open) changed_.notify_all();
}

void MpiProgress::Run(const std::function<bool()>& poll) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return open_ || stop_; });
    if (stop_) return;
    const Clock::time_point start = Clock::now();
    if (!poll()) return;
    const bool busy = Clock::now() - start > kBusyPoll;
    lock.unlock();
    if (busy) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kSleep);
    }
    lock.lock();
  }
}

}  // namespace flashcp

// When a process that waits for MPI looks again.

#ifndef FLASHCP_RUNTIME_MPI_MPI_POLLING_H_
#define FLASHCP_RUNTIME_MPI_MPI_POLLING_H_

#include <algorithm>
#include <chrono>
#include <thread>

#include "absl/time/time.h"

namespace flashcp {

// The rhythm of the polls of one wait, and its end. Large messages move in pieces, during polls: a
// poll that took long has moved one, and the next should come at once.
class Polling {
 public:
  explicit Polling(absl::Duration timeout)
      : timeout_(absl::ToChronoNanoseconds(std::min(timeout, kForever))) {}

  // Between two polls; false if time is up.
  bool Pause() {
    Clock::time_point now = Clock::now();
    if (now - start_ >= timeout_) return false;
    if (now - poll_start_ > (slept_ ? kBusyPollAfterSleep : kBusyPoll)) last_busy_ = now;
    const Clock::duration idle = now - last_busy_;
    slept_ = idle >= kEager;
    if (!slept_) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::clamp<Clock::duration>(idle / 32, kShortest, kLongest));
    }
    poll_start_ = Clock::now();
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Microseconds = std::chrono::microseconds;
  static constexpr absl::Duration kForever = absl::Hours(24 * 365);  // does not overflow the clock
  static constexpr Microseconds kBusyPoll{4};
  static constexpr Microseconds kBusyPollAfterSleep{15};  // caches are cold
  static constexpr Microseconds kEager{200};
  static constexpr Microseconds kShortest{10};  // of the sleeps
  static constexpr Microseconds kLongest{250};

  const Clock::duration timeout_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_busy_ = start_;
  Clock::time_point poll_start_ = start_;
  bool slept_ = false;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_MPI_MPI_POLLING_H_

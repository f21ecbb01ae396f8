// Watches the passes that are under way on streams, since no call waits for them: finds out when
// they are done, that one failed, or that one stands still, and at which step.

#ifndef FLASHCP_RUNTIME_PROGRAM_WATCHDOG_H_
#define FLASHCP_RUNTIME_PROGRAM_WATCHDOG_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/program/prepared_program.h"
#include "runtime/stream.h"
#include "runtime/transport.h"

namespace flashcp {

// The events of one pass. They are used again for a later pass once it is not under way.
struct PassEvents {
  const PreparedProgram* program = nullptr;
  std::unique_ptr<Event> start;              // the caller's work before the pass
  std::vector<std::unique_ptr<Event>> done;  // by step
  std::atomic<bool> under_way{false};
};

// Owns a thread that polls while passes are under way.
class Watchdog {
 public:
  // The transport is borrowed. A pass fails when none of its steps has finished for
  // `timeout`; the time until the caller's work before it is done does not count.
  Watchdog(Transport* transport, absl::Duration timeout);
  ~Watchdog();

  // A pass that was enqueued after all others.
  void Watch(PassEvents* pass);

  // Waits until all passes are done. If one failed, or `timeout` ran out, says why and ends the
  // group of ranks. DeadlineExceeded names the first step that did not finish.
  absl::Status Await(absl::Duration timeout);

  // Why the group of ranks has ended, if it has.
  absl::Status status() const;

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;

  void Run();
  void Poll(Lock* lock);
  void Fail(Lock* lock, const absl::Status& status);
  absl::Status StandsStill(absl::Duration timeout) const;
  uint32_t FirstNotDone() const;

  Transport& transport_;
  const absl::Duration timeout_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<PassEvents*> passes_;  // under way, in order
  int64_t next_ = -1;               // step of the first pass; -1: its start
  Clock::time_point moved_;         // when the first pass last did something
  absl::Status status_;
  bool stop_ = false;
  std::thread thread_;  // the last to be made
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_WATCHDOG_H_

// Who calls MPI while a process computes: large messages move only during calls to MPI, so a thread
// makes some where messages are open and the rank is busy with something else.

#ifndef FLASHCP_RUNTIME_MPI_MPI_PROGRESS_H_
#define FLASHCP_RUNTIME_MPI_MPI_PROGRESS_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace flashcp {

class MpiProgress {
 public:
  MpiProgress() = default;
  MpiProgress(const MpiProgress&) = delete;
  ~MpiProgress();

  // Starts the thread, which calls poll() from now on, under the lock that Enter takes, where
  // messages are open; until poll says false. Signals are left to other threads.
  void Start(std::function<bool()> poll);

  // All other calls to MPI are made under this lock.
  std::unique_lock<std::mutex> Enter() { return std::unique_lock<std::mutex>(mutex_); }

  // Under the lock: whether messages are open.
  void SetOpen(bool open);

 private:
  void Run(const std::function<bool()>& poll);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_MPI_MPI_PROGRESS_H_

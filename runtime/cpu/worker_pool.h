// A fixed number of threads that do one job together, again and again.

#ifndef FLASHCP_RUNTIME_CPU_WORKER_POOL_H_
#define FLASHCP_RUNTIME_CPU_WORKER_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace flashcp {

// Used by one thread, which works too. Idle threads sleep.
class WorkerPool {
 public:
  // `size` workers with the caller, at least 1; fewer if the host starts no more threads.
  explicit WorkerPool(int size);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls work(worker) for each worker in [0, size) at once; returns when all are done. Allocates
  // nothing.
  void Run(absl::FunctionRef<void(int worker)> work);

 private:
  void Loop(int worker);

  // Not Abseil's: ThreadSanitizer does not see what those of a system library order.
  std::mutex mutex_;  // of what follows, without the threads
  std::condition_variable started_;
  std::condition_variable finished_;
  const absl::FunctionRef<void(int)>* work_ = nullptr;
  int64_t job_ = 0;  // how many have been started
  int running_ = 0;  // threads that have not finished the last one
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_WORKER_POOL_H_

// A fixed number of threads that do one job together, again and again.

#ifndef FLASHCP_RUNTIME_CPU_WORKER_POOL_H_
#define FLASHCP_RUNTIME_CPU_WORKER_POOL_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace flashcp {

// Used by one thread, which works too. Idle threads sleep.
class WorkerPool {
 public:
  // `size` workers with the caller; at least 1.
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

  absl::Mutex mutex_;
  const absl::FunctionRef<void(int)>* work_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int64_t job_ ABSL_GUARDED_BY(mutex_) = 0;  // how many have been started
  int running_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that have not finished the last one
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_WORKER_POOL_H_

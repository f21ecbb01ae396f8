// Threads that wait for a job, run it with their number, and report back.

#include "runtime/cpu/worker_pool.h"

#include "support/start_threads.h"

namespace flashcp {

using Lock = std::unique_lock<std::mutex>;

WorkerPool::WorkerPool(int size)
    : threads_(StartThreads(size - 1, [this](int i) { Loop(i + 1); })) {}

WorkerPool::~WorkerPool() {
  {
    Lock lock(mutex_);
    stopped_ = true;
  }
  started_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Run(absl::FunctionRef<void(int)> work) {
  if (!threads_.empty()) {
    Lock lock(mutex_);
    work_ = &work;
    running_ = static_cast<int>(threads_.size());
    ++job_;
  }
  started_.notify_all();
  work(0);
  Lock lock(mutex_);
  finished_.wait(lock, [this] { return running_ == 0; });
}

void WorkerPool::Loop(int worker) {
  Lock lock(mutex_);
  for (int64_t done = 0; true; done = job_) {
    started_.wait(lock, [&] { return stopped_ || job_ > done; });
    if (stopped_) return;
    const absl::FunctionRef<void(int)>& work = *work_;
    lock.unlock();
    work(worker);
    lock.lock();
    if (--running_ == 0) finished_.notify_one();
  }
}

}  // namespace flashcp

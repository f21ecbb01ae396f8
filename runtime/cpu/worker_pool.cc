#include "runtime/cpu/worker_pool.h"

namespace flashcp {

WorkerPool::WorkerPool(int size) {
  for (int worker = 1; worker < size; ++worker) {
    threads_.emplace_back([this, worker] { Loop(worker); });
  }
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Run(absl::FunctionRef<void(int)> work) {
  if (!threads_.empty()) {
    absl::MutexLock lock(&mutex_);
    work_ = &work;
    running_ = static_cast<int>(threads_.size());
    ++job_;
  }
  work(0);
  if (threads_.empty()) return;
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int* running) { return *running == 0; }, &running_));
}

void WorkerPool::Loop(int worker) {
  struct Wait {
    WorkerPool* pool;
    int64_t done;
    bool Over() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return pool->stopped_ || pool->job_ > done; }
  } wait = {this, 0};
  while (true) {
    const absl::FunctionRef<void(int)>* work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wait, &Wait::Over));
      if (stopped_) return;
      wait.done = job_;
      work = work_;
    }
    (*work)(worker);
    absl::MutexLock lock(&mutex_);
    --running_;
  }
}

}  // namespace flashcp

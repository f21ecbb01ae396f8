// Plans ahead: requests wait in a queue for threads that compile, plans wait by their tickets for
// who takes them.

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "api/compile.h"
#include "api/flashcp.h"
#include "api/request.h"
#include "api/status.h"
#include "compiler/input/request.h"
#include "support/catch_exceptions.h"
#include "support/start_threads.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

constexpr int kMaxThreads = 256;
constexpr double kForeverS = 1e9;  // what a clock can count

// A plan that nobody has taken goes with its place in the table.
struct DestroyPlan {
  void operator()(flashcp_plan* plan) const { flashcp_plan_destroy(plan); }
};
using OwnedPlan = std::unique_ptr<flashcp_plan, DestroyPlan>;

}  // namespace
}  // namespace flashcp::capi

struct flashcp_planner {
 public:
  ~flashcp_planner() { End(); }

  // ResourceExhausted if the host starts none.
  absl::Status Start(int threads);
  absl::Status Submit(flashcp::CompileRequest request, uint64_t* ticket);
  absl::StatusOr<flashcp_plan*> Take(uint64_t ticket, double timeout_s);
  // Whether this is the process whose threads plan.
  bool IsHere() const { return getpid() == process_; }

 private:
  using OwnedPlan = flashcp::capi::OwnedPlan;

  void End();
  void Run();

  const pid_t process_ = getpid();
  std::mutex mutex_;  // of all that follows but threads_
  std::condition_variable queued_, done_, left_;
  std::deque<std::pair<uint64_t, flashcp::CompileRequest>> queue_;
  // By ticket; empty while it is queued or compiled.
  std::map<uint64_t, std::optional<absl::StatusOr<OwnedPlan>>> results_;
  uint64_t next_ticket_ = 1;
  int takers_ = 0;  // calls of Take under way
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

absl::Status flashcp_planner::Start(int threads) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are left to the threads of the program
  threads_ = flashcp::StartThreads(threads, [this](int) { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!threads_.empty()) return absl::OkStatus();
  return absl::ResourceExhaustedError("the host starts no thread to plan on");
}

// Compiles what is queued until the end.
void flashcp_planner::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    queued_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    const auto [ticket, request] = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const auto compile = [&request = request]() -> absl::StatusOr<OwnedPlan> {
      ASSIGN_OR_RETURN(flashcp_plan * plan, flashcp::capi::Compile(request));
      return OwnedPlan(plan);
    };
    absl::StatusOr<OwnedPlan> result = flashcp::CatchExceptions("planning", compile);
    lock.lock();
    results_[ticket] = std::move(result);
    done_.notify_all();
  }
}

absl::Status flashcp_planner::Submit(flashcp::CompileRequest request, uint64_t* ticket) {
  std::lock_guard<std::mutex> lock(mutex_);
  queue_.emplace_back(next_ticket_, std::move(request));
  results_.emplace(next_ticket_, std::nullopt);
  *ticket = next_ticket_++;
  queued_.notify_one();
  return absl::OkStatus();
}

absl::StatusOr<flashcp_plan*> flashcp_planner::Take(uint64_t ticket, double timeout_s) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto deadline =
      std::chrono::steady_clock::now() +
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(
          timeout_s >= 0 ? std::min(timeout_s, flashcp::capi::kForeverS)
                         : flashcp::capi::kForeverS));
  ++takers_;
  auto result = results_.end();
  const bool in_time = done_.wait_until(lock, deadline, [&] {
    result = results_.find(ticket);  // another thread may have taken it meanwhile
    return ending_ || result == results_.end() || result->second.has_value();
  });
  if (--takers_ == 0) left_.notify_all();
  if (ending_) return absl::CancelledError("the planner has been destroyed");
  if (result == results_.end()) {
    return absl::NotFoundError(
        absl::StrCat("ticket ", ticket, ": the planner gave no such ticket, or it was taken"));
  }
  if (!in_time) {
    return absl::DeadlineExceededError(
        absl::StrCat("ticket ", ticket, ": the plan is not ready after ", timeout_s, " s"));
  }
  absl::StatusOr<OwnedPlan> plan = *std::move(result->second);
  results_.erase(result);
  RETURN_IF_ERROR(plan.status());
  return plan->release();
}

// Waits for the threads and for calls of Take, which find that it is the end.
void flashcp_planner::End() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    ending_ = true;
    queued_.notify_all();
    done_.notify_all();
    left_.wait(lock, [this] { return takers_ == 0; });
  }
  for (std::thread& thread : threads_) thread.join();
}

namespace flashcp::capi {
namespace {

absl::Status MakePlanner(int threads, flashcp_planner** planner) {
  if (threads < 1 || threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads are ", threads, ": must be from 1 to ", kMaxThreads));
  }
  auto made = std::make_unique<flashcp_planner>();
  RETURN_IF_ERROR(made->Start(threads));
  *planner = made.release();
  return absl::OkStatus();
}

// A child of fork() has the planner's memory, but not its threads.
absl::Status CheckProcess(const flashcp_planner& planner) {
  if (planner.IsHere()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the planner belongs to another process: make a planner after fork()");
}

}  // namespace
}  // namespace flashcp::capi

using flashcp::capi::Clear;
using flashcp::capi::Guarded;

extern "C" {

flashcp_status flashcp_planner_create(int threads, flashcp_planner** planner) {
  Clear(planner);
  return Guarded(__func__, {{"planner", planner}},
                 [&] { return flashcp::capi::MakePlanner(threads, planner); });
}

flashcp_status flashcp_planner_submit(flashcp_planner* planner, const flashcp_request* request,
                                      uint64_t* ticket) {
  Clear(ticket);
  return Guarded(__func__, {{"planner", planner}, {"request", request}, {"ticket", ticket}},
                 [&]() -> absl::Status {
                   RETURN_IF_ERROR(flashcp::capi::CheckProcess(*planner));
                   ASSIGN_OR_RETURN(flashcp::CompileRequest read,
                                    flashcp::capi::ReadRequest(*request));
                   return planner->Submit(std::move(read), ticket);
                 });
}

flashcp_status flashcp_planner_take(flashcp_planner* planner, uint64_t ticket, double timeout_s,
                                    flashcp_plan** plan) {
  Clear(plan);
  return Guarded(__func__, {{"planner", planner}, {"plan", plan}}, [&]() -> absl::Status {
    RETURN_IF_ERROR(flashcp::capi::CheckProcess(*planner));
    ASSIGN_OR_RETURN(*plan, planner->Take(ticket, timeout_s));
    return absl::OkStatus();
  });
}

void flashcp_planner_destroy(flashcp_planner* planner) {
  // In a child of fork() its threads cannot be joined, and its lock may be held by one of them.
  if (planner != nullptr && planner->IsHere()) delete planner;
}

}  // extern "C"

// Each pass stands between two all-gathers: one starts the ranks together, the other finds the
// slowest.

#include "session/timed_run.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/executor.h"
#include "runtime/transport.h"
#include "support/status_macros.h"

namespace flashcp::session {
namespace {

// Adds its place to an error of an iteration, or between two.
absl::Status At(absl::string_view place, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(place, ": ", status.message()));
}

// Runs one pass on one rank. Ranks start together; `slowest_ms` gets the time of the slowest
// rank.
absl::Status TimePass(const std::string& place, absl::Duration timeout, Transport* transport,
                      const std::function<absl::Status()>& pass, std::vector<double>* slowest_ms) {
  const std::string between = absl::StrCat(place, ", rank ", transport->rank());
  RETURN_IF_ERROR(At(between, transport->AllGather(0, timeout).status()));
  auto start = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(At(place, pass()));
  std::chrono::nanoseconds elapsed = std::chrono::steady_clock::now() - start;
  absl::StatusOr<std::vector<uint64_t>> all = transport->AllGather(elapsed.count(), timeout);
  RETURN_IF_ERROR(At(between, all.status()));
  slowest_ms->push_back(*std::max_element(all->begin(), all->end()) / 1e6);
  return absl::OkStatus();
}

ForwardTensors ForwardOf(RankTensors* local) {
  return {local->query, local->key, local->value, local->output, local->lse, local->saved};
}

BackwardTensors BackwardOf(RankTensors* local) {
  return {local->query,        local->key,           local->value,           local->output,
          local->lse,          local->saved,         local->output_gradient, local->query_gradient,
          local->key_gradient, local->value_gradient};
}

// Runs all iterations on one rank.
absl::Status RunRank(const Plan& plan, const RunOptions& options, const RunObserver& observer,
                     Transport* transport, RankTensors* local, Measured* measured) {
  RankTrace trace;
  std::unique_ptr<Device> device = CreateCpuDevice(options.device);
  ExecutorOptions executor_options;
  executor_options.timeout = options.timeout;
  executor_options.backward = options.backward;
  if (options.trace) executor_options.trace = &trace;
  ASSIGN_OR_RETURN(
      std::unique_ptr<Executor> executor,
      Executor::Create(plan, transport->rank(), transport, device.get(), executor_options));
  const ForwardTensors forward = ForwardOf(local);
  const BackwardTensors backward = BackwardOf(local);
  auto tell = [&](const PassEvent& event) {
    if (observer && transport->rank() == 0) observer(event);
  };
  auto run = [&](int64_t i, bool is_backward, const std::function<absl::Status()>& pass,
                 std::vector<double>* times) -> absl::Status {
    tell({i, is_backward, std::nullopt});
    RETURN_IF_ERROR(
        TimePass(absl::StrCat("iteration ", i), options.timeout, transport, pass, times));
    tell({i, is_backward, times->back()});
    return absl::OkStatus();
  };
  Times& times = measured->times;
  for (int64_t i = 0; i < options.iterations; ++i) {
    RETURN_IF_ERROR(run(
        i, false, [&] { return executor->Forward(forward); }, &times.forward));
    if (!options.backward) continue;
    RETURN_IF_ERROR(run(
        i, true, [&] { return executor->Backward(backward); }, &times.backward));
  }
  if (!options.trace) return absl::OkStatus();
  ASSIGN_OR_RETURN(measured->traces, GatherTraces(plan, trace, transport, options.timeout));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Measured> TimedRun(const Plan& plan, const RunOptions& options, Ranks* ranks,
                                  BatchTensors* batch, const RunObserver& observer) {
  std::vector<Measured> measured(plan.num_ranks());
  RETURN_IF_ERROR(
      ranks->Run(plan, options.backward, batch, [&](Transport* transport, RankTensors* local) {
        return RunRank(plan, options, observer, transport, local, &measured[transport->rank()]);
      }));
  Times& times = measured[0].times;
  std::sort(times.forward.begin(), times.forward.end());
  std::sort(times.backward.begin(), times.backward.end());
  return std::move(measured[0]);
}

}  // namespace flashcp::session

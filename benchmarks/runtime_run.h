// Steps of a plan on threads with measured times: with devices and transports that leave out what a
// benchmark does not ask about.

#ifndef FLASHCP_BENCHMARKS_RUNTIME_RUN_H_
#define FLASHCP_BENCHMARKS_RUNTIME_RUN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/plan/plan.h"
#include "runtime/threads/threads_transport.h"
#include "runtime/trace.h"

namespace flashcp::benchmarks {

enum class Messages {
  kAll,
  kNone,     // ranks do not even wait for each other
  kAwaited,  // each exchange is waited for as soon as it has started: overlap is off
};

struct RunConfig {
  bool empty_kernels = false;  // launches return at once
  Messages messages = Messages::kAll;
  DeliveryModel* model = nullptr;
  int steps = 1;  // after one that is not measured
};

struct PassMeasure {
  double wall_us = 0;  // fastest step
  double cpu_us = 0;   // of the rank's thread, mean of the steps
  uint64_t instructions = 0;
  uint64_t send_bytes = 0, receive_bytes = 0;  // of one step, counted in Exchange::Start
  std::vector<TraceSpan> spans;                // of the fastest step
};

struct RankMeasure {
  PassMeasure forward, backward;
  uint64_t tensor_bytes = 0;     // of the caller
  uint64_t allocated_bytes = 0;  // through Device::Allocate
};

// All ranks. Tensors are zeros where kernels are empty, small numbers otherwise.
absl::StatusOr<std::vector<RankMeasure>> MeasureRun(const Plan& plan, const RunConfig& config);

}  // namespace flashcp::benchmarks

#endif  // FLASHCP_BENCHMARKS_RUNTIME_RUN_H_

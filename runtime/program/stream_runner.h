// Runs a pass on streams: enqueues all steps and returns; nothing on the host waits.
//
// Steps go in program order to a stream for compute or one for communication; their waits
// become waits for events. The pass begins after the work that the caller's stream holds, and later
// work of that stream begins after the pass: memory and tensors follow the rules of that stream.

#ifndef FLASHCP_RUNTIME_PROGRAM_STREAM_RUNNER_H_
#define FLASHCP_RUNTIME_PROGRAM_STREAM_RUNNER_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/device.h"
#include "runtime/program/event_plan.h"
#include "runtime/program/pass_runner.h"
#include "runtime/program/prepared_program.h"
#include "runtime/program/watchdog.h"

namespace flashcp {

// The two streams of an executor, which all of its passes share.
struct ExecutorStreams {
  static absl::StatusOr<std::unique_ptr<ExecutorStreams>> Create(Device* device);

  std::unique_ptr<Stream> compute, communication;
  // Where the last pass ended, which the next one must wait for unless both are part of the
  // caller's stream.
  std::vector<std::pair<const Stream*, const Event*>> ends;
  bool had_caller = true;
};

class StreamRunner : public PassRunner {
 public:
  // All are borrowed.
  StreamRunner(PreparedProgram* program, Device* device, ExecutorStreams* streams,
               Watchdog* watchdog)
      : program_(*program),
        device_(*device),
        streams_(*streams),
        watchdog_(*watchdog),
        events_(PlanEvents(program->bound())) {}

  // Returns once the pass is enqueued. Without a caller's stream it begins after the executor's
  // last pass. Makes events when more passes are under way than ever before.
  absl::Status Run(BufferBases bases, Stream* caller) override;

 private:
  absl::Status Enqueue(BufferBases bases, Stream* caller);
  absl::StatusOr<PassEvents*> FreeEvents();
  absl::Status Begin(PassEvents* events, Stream* caller);
  absl::Status EnqueueAll(BufferBases bases, PassEvents* events);
  absl::Status End(PassEvents* events, Stream* caller);
  Stream* StreamOf(uint32_t step) const {
    return IsExchange(program_.InstructionOf(step)) ? streams_.communication.get()
                                                    : streams_.compute.get();
  }

  PreparedProgram& program_;
  Device& device_;
  ExecutorStreams& streams_;
  Watchdog& watchdog_;
  const EventPlan events_;
  std::vector<std::unique_ptr<PassEvents>> slots_;  // used again once their pass is done
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_STREAM_RUNNER_H_

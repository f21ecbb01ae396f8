// Runs a pass on the host: one thread computes and starts exchanges as early as it can.
//
// The thread computes in program order; exchanges run beside that: before each launch it starts, in
// the order of their stream, all exchanges whose waits are done, and it blocks on an exchange only
// when a step waits for it, or at the end of the pass. Since a wait names an earlier step, all
// launches that an exchange may wait for have been made by then.

#ifndef FLASHCP_RUNTIME_PROGRAM_HOST_RUNNER_H_
#define FLASHCP_RUNTIME_PROGRAM_HOST_RUNNER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/program/pass_runner.h"
#include "runtime/program/prepared_program.h"
#include "runtime/trace.h"

namespace flashcp {

class HostRunner : public PassRunner {
 public:
  // All are borrowed. `trace`, if given, gets a span by step.
  HostRunner(PreparedProgram* program, absl::Duration timeout, std::vector<TraceSpan>* trace);

  // Returns when the pass is done.
  absl::Status Run(BufferBases bases, Stream* caller) override;

 private:
  bool WaitsAreDone(uint32_t step) const;
  absl::Status StartReadyExchanges();
  absl::Status Finish(uint32_t step);
  absl::Status Launch(uint32_t step);
  void TraceBegin(uint32_t step) {
    if (trace_ != nullptr) (*trace_)[step].begin_ns = TraceNow();
  }
  void TraceEnd(uint32_t step, int64_t completed_ns = 0) {
    if (trace_ == nullptr) return;
    (*trace_)[step].end_ns = completed_ns != 0 ? completed_ns : TraceNow();
  }

  PreparedProgram& program_;
  const absl::Duration timeout_;
  std::vector<TraceSpan>* const trace_;  // may be null
  std::vector<uint32_t> exchanges_;      // steps, in the order of their stream

  // The state of a pass.
  BufferBases bases_;
  size_t num_started_ = 0;  // of exchanges_
  std::vector<char> done_;  // by step
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_HOST_RUNNER_H_

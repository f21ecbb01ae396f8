// When the instructions of one pass of one rank start.
//
// One thread drives the rank. It computes in program order; exchanges run beside that: before each
// launch it starts, in the order of their stream, all exchanges whose waits are done, and it blocks
// on an exchange only where an instruction waits for it, or at the end of the pass. Since a wait
// names an earlier instruction, all launches that an exchange may wait for have been made by then.

#ifndef FLASHCP_RUNTIME_PROGRAM_RUN_PROGRAM_H_
#define FLASHCP_RUNTIME_PROGRAM_RUN_PROGRAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/device.h"
#include "runtime/program/bound_program.h"
#include "runtime/trace.h"
#include "runtime/transport.h"

namespace flashcp {

class ProgramRunner {
 public:
  // `pass` names it in errors. All are borrowed. `trace`, if given, gets a span by instruction.
  ProgramRunner(const char* pass, BoundProgram* program, Transport* transport, Device* device,
                absl::Duration timeout, std::vector<TraceSpan>* trace);

  // Runs the pass to its end. Allocates nothing. Errors name rank, pass, stage and instruction.
  absl::Status Run();

 private:
  bool WaitsAreDone(uint32_t index) const;
  absl::Status StartReadyExchanges();
  absl::Status StartExchange(uint32_t index);
  absl::Status Finish(uint32_t index);
  absl::Status Launch(uint32_t index);
  absl::Status At(uint32_t index, const absl::Status& status) const;
  void TraceBegin(uint32_t index) {
    if (trace_ != nullptr) (*trace_)[index].begin_ns = TraceNow();
  }
  void TraceEnd(uint32_t index, int64_t completed_ns = 0) {
    if (trace_ == nullptr) return;
    (*trace_)[index].end_ns = completed_ns != 0 ? completed_ns : TraceNow();
  }

  const char* const pass_;
  BoundProgram& program_;
  Transport& transport_;
  Device& device_;
  const absl::Duration timeout_;
  const absl::Span<const fbs::Instruction> instructions_;
  std::vector<TraceSpan>* const trace_;  // may be null
  std::vector<uint32_t> exchanges_;      // indices, in the order of their stream

  // The state of a pass.
  size_t num_started_ = 0;                // of exchanges_
  std::vector<Transport::Group> groups_;  // by instruction, for started exchanges
  std::vector<char> done_;                // by instruction
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_RUN_PROGRAM_H_

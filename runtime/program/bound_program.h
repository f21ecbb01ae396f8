// One pass of one rank with every tile, message and row resolved to memory: the tables that
// launches and transports take, made once, and pointed at the caller's tensors for each step.

#ifndef FLASHCP_RUNTIME_PROGRAM_BOUND_PROGRAM_H_
#define FLASHCP_RUNTIME_PROGRAM_BOUND_PROGRAM_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "runtime/device.h"
#include "runtime/plan/plan.h"
#include "runtime/transport.h"

namespace flashcp {

// What the executor runs. Used by one thread. Spans that it returns stay valid, and what they hold
// changes only when the pass is bound to other tensors.
class BoundProgram {
 public:
  virtual ~BoundProgram() = default;

  absl::Span<const fbs::Instruction> instructions() const { return instructions_; }
  // Indices of the instructions that must be done before this one starts.
  absl::Span<const uint32_t> Waits(const fbs::Instruction& instruction) const {
    return waits_.subspan(instruction.wait_begin(),
                          instruction.wait_end() - instruction.wait_begin());
  }

  // The messages of an instruction of the communication stream.
  virtual absl::Span<const Transfer> Transfers(const fbs::Instruction& instruction) const = 0;
  // Runs an instruction of the compute stream; done when the call returns.
  virtual absl::Status Launch(const fbs::Instruction& instruction, Device* device) = 0;

 protected:
  BoundProgram(absl::Span<const fbs::Instruction> instructions, absl::Span<const uint32_t> waits)
      : instructions_(instructions), waits_(waits) {}

 private:
  const absl::Span<const fbs::Instruction> instructions_;
  const absl::Span<const uint32_t> waits_;
};

// Whether the instruction belongs to the communication stream.
inline bool IsExchange(const fbs::Instruction& instruction) {
  return instruction.stream() == fbs::Stream::communication;
}

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_BOUND_PROGRAM_H_

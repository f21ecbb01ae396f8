// A bound program ready to run: its tables on the device, its exchanges in the transport.

#ifndef FLASHCP_RUNTIME_PROGRAM_PREPARED_PROGRAM_H_
#define FLASHCP_RUNTIME_PROGRAM_PREPARED_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/device.h"
#include "runtime/program/bound_program.h"
#include "runtime/transport.h"

namespace flashcp {

// Used by one thread, except for At and Awaited. Errors name rank, pass, head group if there are
// several, stage and instruction.
class PreparedProgram {
 public:
  // `pass` names it in errors. Kernels and transport are borrowed.
  static absl::StatusOr<std::unique_ptr<PreparedProgram>> Create(const char* pass,
                                                                 BoundProgram program,
                                                                 AttentionKernels* kernels,
                                                                 Transport* transport);

  // Without its tables and messages.
  const BoundProgram& bound() const { return program_; }
  uint32_t num_steps() const { return program_.num_steps(); }
  const fbs::Instruction& InstructionOf(uint32_t step) const {
    return program_.InstructionOf(step);
  }
  absl::Span<const uint32_t> Waits(uint32_t step) const { return program_.waits[step]; }

  // Enqueues a step on a stream, or, if it is null, computes it or starts its messages. `bases` are
  // those of all rounds.
  absl::Status Enqueue(uint32_t step, BufferBases bases, Stream* stream);

  // Without streams: waits for a started exchange.
  absl::Status Wait(uint32_t step, absl::Duration timeout);
  int64_t CompletedNs(uint32_t step) const { return exchanges_[step]->CompletedNs(); }

  // Adds to an error where it happened. A program without steps has the step 0 in errors.
  absl::Status At(uint32_t step, const absl::Status& status) const;
  // Whom a step that does not finish waits for: " for rank 1: rank 0 sends ...", with the first of
  // several messages; or " for its device".
  const std::string& Awaited(uint32_t step) const { return awaited_[step]; }
  int rank() const { return rank_; }

 private:
  PreparedProgram(const char* pass, BoundProgram program, int rank)
      : pass_(pass), rank_(rank), program_(std::move(program)) {}
  absl::Status Prepare(uint32_t step, Transport* transport);
  absl::Status EnqueueAll(absl::Span<const Launch> launches, BufferBases bases, Stream* stream);

  const char* const pass_;
  const int rank_;
  BoundProgram program_;  // without tables and, once prepared, messages
  std::unique_ptr<DeviceTables> tables_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;  // by step; null for launches
  std::vector<std::string> awaited_;                  // by step
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_PREPARED_PROGRAM_H_

// One rank's program with every tile and message resolved to memory: the tables that launches and
// transports take, made once, and pointed at the caller's tensors for each step.

#ifndef FLASHCP_RUNTIME_BOUND_PROGRAM_H_
#define FLASHCP_RUNTIME_BOUND_PROGRAM_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/executor.h"
#include "runtime/kernels.h"
#include "runtime/plan/plan.h"
#include "runtime/transport.h"

namespace flashcp {

// Used by one thread. Spans that it returns stay valid, and what they hold changes only in Bind.
class BoundProgram {
 public:
  // The forward program of `rank` of a plan that passed VerifyPlan. The workspace, of the size
  // that the plan asks for, is borrowed.
  BoundProgram(const Plan& plan, int rank, char* workspace);

  // Points the tables at these tensors. Allocates nothing; one pass over tiles and messages, none
  // where the tensors are those of the last call.
  void Bind(const ForwardTensors& tensors);

  absl::Span<const fbs::Instruction> instructions() const { return instructions_; }
  // Indices of the instructions that must be done before this one starts.
  absl::Span<const uint32_t> Waits(const fbs::Instruction& instruction) const;
  // The tiles of an attend instruction.
  absl::Span<const AttentionTile> Tiles(const fbs::Instruction& instruction) const;
  // The messages of an exchange instruction.
  absl::Span<const Transfer> Transfers(const fbs::Instruction& instruction) const;

 private:
  // Consecutive bytes of a buffer.
  struct Run {
    uint32_t buffer;
    uint64_t offset;
    uint64_t size;
  };

  uint64_t RowBytes(uint32_t buffer) const;
  void AddRuns(const fbs::Part& part, size_t message_begin);
  void ResolveMessages();
  char* Base(uint32_t buffer, const ForwardTensors& tensors) const;
  char* Row(uint32_t buffer, uint32_t row) const { return bases_[buffer] + row * RowBytes(buffer); }
  AttentionTile Resolve(const fbs::Tile& tile) const;

  const Plan plan_;  // keeps the tables below alive
  const fbs::Program& program_;
  const absl::Span<const fbs::Buffer> buffers_;
  const absl::Span<const fbs::Instruction> instructions_;
  char* const workspace_;

  std::vector<Run> runs_;            // of all messages, one message after the other
  std::vector<Transfer> transfers_;  // one for each message
  std::vector<Bytes> bytes_;         // runs_ resolved, which transfers_ point into
  std::vector<AttentionTile> tiles_;
  std::vector<char*> bases_;  // of buffers_, as they were bound last
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_BOUND_PROGRAM_H_

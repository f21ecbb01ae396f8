// The backward pass of one rank, resolved to memory: it runs over the tiles and messages of the
// forward program.

#ifndef FLASHCP_RUNTIME_PROGRAM_BOUND_BACKWARD_H_
#define FLASHCP_RUNTIME_PROGRAM_BOUND_BACKWARD_H_

#include <cstdint>
#include <vector>

#include "runtime/kernels.h"
#include "runtime/program/bound_memory.h"
#include "runtime/program/bound_program.h"
#include "runtime/program/message_table.h"

namespace flashcp {

class BoundBackward : public BoundProgram {
 public:
  // `rank` of a plan that passed VerifyPlan.
  BoundBackward(const Plan& plan, int rank, AttentionKernels* kernels);

  // As BoundForward::Bind.
  void Bind(const MemoryBases& bases);

  absl::Span<const Transfer> Transfers(const fbs::Instruction& instruction) const override;
  absl::Status Launch(const fbs::Instruction& instruction, Device* device) override;

 private:
  // Head rows of sums that a message moves, and their gradients as they travel: elements of
  // `sum_buffer` from `sum` on, and of outgoing or incoming from `packed` on.
  struct GradientRun {
    uint32_t sum_buffer;
    uint64_t sum;
    uint64_t packed;
    uint64_t count;
  };

  void PairSums();
  void AddMessage(const fbs::Message& message);
  void AddGradientRuns(const fbs::Part& part, bool sent);
  BackwardTile Resolve(const fbs::Tile& tile) const;
  ConvertedRun Resolve(const GradientRun& run, bool received) const;
  // The runs of messages [begin, end) that this rank received, or sent.
  absl::Span<const ConvertedRun> Runs(const std::vector<ConvertedRun>& runs,
                                      const std::vector<size_t>& first,
                                      const fbs::Instruction& instruction) const;
  ConvertedRun Whole(fbs::BufferKind sum, fbs::BufferKind gradient) const;

  const Plan plan_;  // keeps the tables alive
  const fbs::Program& forward_;
  AttentionKernels* const kernels_;
  const KernelSpec spec_;
  BoundMemory memory_;
  const uint32_t outgoing_, incoming_;
  std::vector<uint32_t> sum_of_;  // by buffer of keys or values

  MessageTable key_values_;                // K and V again: messages with parts that are not saved
  std::vector<uint32_t> first_key_value_;  // by message of the plan
  MessageTable gradients_;                 // all messages, reversed

  // Runs of received messages, which are packed, and of sent ones, which are added.
  std::vector<GradientRun> packed_, added_;
  std::vector<size_t> first_packed_, first_added_;  // by message of the plan
  uint64_t packed_elements_ = 0, added_elements_ = 0;

  // Resolved by Bind.
  std::vector<ConvertedRun> packed_runs_, added_runs_;
  std::vector<ConvertedRun> stored_runs_;  // the caller's gradients
  std::vector<FloatRange> cleared_;        // all sums
  std::vector<BackwardTile> tiles_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_BOUND_BACKWARD_H_

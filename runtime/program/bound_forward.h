// The forward pass of one rank, resolved to memory.

#ifndef FLASHCP_RUNTIME_PROGRAM_BOUND_FORWARD_H_
#define FLASHCP_RUNTIME_PROGRAM_BOUND_FORWARD_H_

#include <vector>

#include "runtime/kernels.h"
#include "runtime/program/bound_memory.h"
#include "runtime/program/bound_program.h"
#include "runtime/program/message_table.h"

namespace flashcp {

class BoundForward : public BoundProgram {
 public:
  // `rank` of a plan that passed VerifyPlan.
  BoundForward(const Plan& plan, int rank, AttentionKernels* kernels);

  // Points the tables at these memories. Allocates nothing; one pass over tiles and messages, none
  // where the memories are those of the last call.
  void Bind(const MemoryBases& bases);

  absl::Span<const Transfer> Transfers(const fbs::Instruction& instruction) const override;
  absl::Status Launch(const fbs::Instruction& instruction, Device* device) override;

 private:
  AttentionTile Resolve(const fbs::Tile& tile) const;

  const Plan plan_;  // keeps the tables alive
  const fbs::Program& program_;
  AttentionKernels* const kernels_;
  BoundMemory memory_;
  MessageTable messages_;
  std::vector<AttentionTile> tiles_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_BOUND_FORWARD_H_

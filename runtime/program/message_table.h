// Messages as a transport takes them: the runs of bytes that each of them gathers or scatters, made
// once and pointed at the memory of each step.

#ifndef FLASHCP_RUNTIME_PROGRAM_MESSAGE_TABLE_H_
#define FLASHCP_RUNTIME_PROGRAM_MESSAGE_TABLE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/program/bound_memory.h"
#include "runtime/transport.h"

namespace flashcp {

class MessageTable {
 public:
  explicit MessageTable(const BoundMemory* memory) : memory_(*memory) {}

  // Building: messages in order, each followed by its runs; then Finish.
  void AddMessage(Transfer::Direction direction, uint32_t peer, uint32_t tag);
  // `size` bytes of a buffer; what continues the last run of the same message extends it.
  void AddRun(uint32_t buffer, uint64_t offset, uint64_t size);
  // The rows and heads of a part of the plan's messages.
  void AddPart(const fbs::Part& part, absl::Span<const fbs::Slice> slices);
  void Finish();

  uint32_t size() const { return transfers_.size(); }

  // Points the runs at where the memory is bound now. Allocates nothing; one pass over the runs.
  void Bind();

  // Messages [begin, end). Spans stay valid; what they hold changes in Bind alone.
  absl::Span<const Transfer> Get(uint32_t begin, uint32_t end) const {
    return absl::MakeConstSpan(transfers_).subspan(begin, end - begin);
  }

 private:
  // Consecutive bytes of a buffer.
  struct Run {
    uint32_t buffer;
    uint64_t offset;
    uint64_t size;
  };

  const BoundMemory& memory_;
  std::vector<Run> runs_;          // of all messages, one message after the other
  std::vector<size_t> first_run_;  // by message
  std::vector<Transfer> transfers_;
  std::vector<Bytes> bytes_;  // runs_ resolved, which transfers_ point into
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_MESSAGE_TABLE_H_

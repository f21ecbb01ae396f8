// The tables of a plan while it is emitted, one set per rank.

#ifndef FLASHCP_COMPILER_EMIT_PLANTABLES_H
#define FLASHCP_COMPILER_EMIT_PLANTABLES_H

#include "runtime/plan/plan_generated.h"
#include <vector>

namespace flashcp {

/// RankPlan, flat and growing.
struct RankTables {
  std::vector<fbs::TokenRange> layout;
  std::vector<fbs::Buffer> buffers;
  uint64_t workspaceBytes = 0;
  uint64_t backwardWorkspaceBytes = 0;
  uint64_t savedBytes = 0;
  std::vector<fbs::Instruction> instructions;
  std::vector<fbs::Wait> waits;
  std::vector<fbs::Instruction> backwardInstructions;
  std::vector<fbs::Wait> backwardWaits;
  std::vector<fbs::Tile> tiles;
  std::vector<fbs::Message> messages;
  std::vector<fbs::Part> parts;
  std::vector<fbs::Slice> slices;
};

/// Serialises the tables.
flatbuffers::Offset<fbs::RankPlan>
writeRank(flatbuffers::FlatBufferBuilder &builder, RankTables tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_PLANTABLES_H

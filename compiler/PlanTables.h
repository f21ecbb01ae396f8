// The tables of a plan while it is emitted, one set per rank.

#ifndef FLASHCP_COMPILER_PLANTABLES_H
#define FLASHCP_COMPILER_PLANTABLES_H

#include "dialects/cp/CP.h"
#include "runtime/plan/plan_generated.h"
#include <vector>

namespace flashcp {

/// Finds the row of a token in rows that hold a list of token ranges one after
/// the other. Ranges are in order of document and begin, and may overlap.
class RowIndex {
public:
  explicit RowIndex(llvm::ArrayRef<int64_t> ranges);

  /// Row of `begin` in a range that holds all of [begin, end).
  uint32_t rowOf(int64_t document, int64_t begin, int64_t end) const;
  uint32_t numRows() const { return rows; }

private:
  struct Entry {
    int64_t document, begin, end;
    uint32_t row;
  };
  std::vector<Entry> entries;
  uint32_t rows = 0;
};

/// RankPlan, flat and growing.
struct RankTables {
  std::vector<fbs::TokenRange> layout;
  std::vector<fbs::Buffer> buffers;
  uint64_t workspaceBytes = 0;
  std::vector<fbs::Instruction> instructions;
  std::vector<uint32_t> waits;
  std::vector<fbs::Tile> tiles;
  std::vector<fbs::Message> messages;
  std::vector<fbs::Part> parts;
  std::vector<fbs::Slice> slices;
};

/// Serialises the tables.
flatbuffers::Offset<fbs::RankPlan>
writeRank(flatbuffers::FlatBufferBuilder &builder, RankTables tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_PLANTABLES_H

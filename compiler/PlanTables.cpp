#include "compiler/PlanTables.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

RowIndex::RowIndex(ArrayRef<int64_t> ranges) {
  entries.reserve(ranges.size() / cp::kTokenRangeSize);
  for (size_t i = 0; i < ranges.size(); i += cp::kTokenRangeSize) {
    entries.push_back({ranges[i], ranges[i + 1], ranges[i + 2], rows});
    rows += ranges[i + 2] - ranges[i + 1];
  }
}

uint32_t RowIndex::rowOf(int64_t document, int64_t begin, int64_t end) const {
  auto next = llvm::upper_bound(
      entries, std::pair(document, begin),
      [](std::pair<int64_t, int64_t> key, const Entry &entry) {
        return key < std::pair(entry.document, entry.begin);
      });
  assert(next != entries.begin() && "rows do not hold the document");
  // The nearest range that begins before; an earlier one only where ranges
  // overlap.
  do
    --next;
  while (next->end < end && next != entries.begin());
  assert(next->document == document && next->begin <= begin &&
         end <= next->end && "rows do not hold the range");
  return next->row + (begin - next->begin);
}

flatbuffers::Offset<fbs::RankPlan>
writeRank(flatbuffers::FlatBufferBuilder &builder, RankTables tables) {
  auto slices = builder.CreateVectorOfStructs(tables.slices);
  auto parts = builder.CreateVectorOfStructs(tables.parts);
  auto messages = builder.CreateVectorOfStructs(tables.messages);
  auto tiles = builder.CreateVectorOfStructs(tables.tiles);
  auto waits = builder.CreateVector(tables.waits);
  auto instructions = builder.CreateVectorOfStructs(tables.instructions);
  auto program = fbs::CreateProgram(builder, instructions, waits, tiles,
                                    messages, parts, slices);
  auto buffers = builder.CreateVectorOfStructs(tables.buffers);
  auto layout = builder.CreateVectorOfStructs(tables.layout);
  return fbs::CreateRankPlan(builder, layout, buffers, tables.workspaceBytes,
                             program);
}

} // namespace flashcp

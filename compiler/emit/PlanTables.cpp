// FlatBuffers are written from the inside out: vectors before the tables that
// point to them.

#include "compiler/emit/PlanTables.h"

namespace flashcp {

flatbuffers::Offset<fbs::RankPlan>
writeRank(flatbuffers::FlatBufferBuilder &builder, RankTables tables) {
  auto slices = builder.CreateVectorOfStructs(tables.slices);
  auto parts = builder.CreateVectorOfStructs(tables.parts);
  auto messages = builder.CreateVectorOfStructs(tables.messages);
  auto tiles = builder.CreateVectorOfStructs(tables.tiles);
  auto waits = builder.CreateVectorOfStructs(tables.waits);
  auto instructions = builder.CreateVectorOfStructs(tables.instructions);
  auto program = fbs::CreateProgram(builder, instructions, waits, tiles,
                                    messages, parts, slices);
  auto backwardWaits = builder.CreateVectorOfStructs(tables.backwardWaits);
  auto backwardInstructions =
      builder.CreateVectorOfStructs(tables.backwardInstructions);
  auto backward =
      fbs::CreateBackwardProgram(builder, backwardInstructions, backwardWaits);
  auto buffers = builder.CreateVectorOfStructs(tables.buffers);
  auto layout = builder.CreateVectorOfStructs(tables.layout);
  return fbs::CreateRankPlan(builder, layout, buffers, tables.workspaceBytes,
                             tables.backwardWorkspaceBytes, tables.savedBytes,
                             program, backward);
}

} // namespace flashcp

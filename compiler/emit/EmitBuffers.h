// Emits the layout and the buffers of one rank, and says where the rows of each
// stage lie: what tiles and messages are emitted from.

#ifndef FLASHCP_COMPILER_EMIT_EMITBUFFERS_H
#define FLASHCP_COMPILER_EMIT_EMITBUFFERS_H

#include "compiler/analysis/RowIndex.h"
#include "compiler/emit/PlanTables.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// Numbers of the caller's tensors in the table of buffers, equal on all ranks.
enum HomeBuffer : uint16_t { kQuery, kKey, kValue, kOutput, kLse };

/// K/V rows: buffer numbers and the row of each token.
struct KeyValueRows {
  uint16_t keyBuffer = kKey;
  uint16_t valueBuffer = kValue;
  RowIndex index;
};

/// The K/V rows of a stage: those that are saved for backward, and all others.
struct StageRows {
  KeyValueRows rows, savedRows;

  const KeyValueRows &of(bool saved) const { return saved ? savedRows : rows; }
};

/// The rows of one rank.
struct RankRows {
  RowIndex home;                 // the caller's tensors
  std::vector<StageRows> stages; // stage 0, the caller's tensors, first
  RowIndex accumulator;
  uint16_t accumulatorBuffer = 0;
};

/// Adds layout, buffers and memory of a program to `tables`.
RankRows emitBuffers(cp::BatchOp batch, cp::ProgramOp program,
                     RankTables &tables);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITBUFFERS_H

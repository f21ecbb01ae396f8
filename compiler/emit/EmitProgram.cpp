// A cp.program op by op: buffers in the order of cp.buffer behind the caller's
// tensors, tiles in the order of the computes, each with its rows and whether
// it is the first or last of its queries.

#include "compiler/emit/EmitProgram.h"

#include "compiler/analysis/BatchProblem.h"
#include "compiler/analysis/RemoteStages.h"
#include "runtime/plan/conversion.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace flashcp {
namespace {

fbs::BufferKind kindOf(cp::BufferKind kind) {
  switch (kind) {
  case cp::BufferKind::saved_key:
    return fbs::BufferKind::saved_key;
  case cp::BufferKind::saved_value:
    return fbs::BufferKind::saved_value;
  case cp::BufferKind::remote_key:
    return fbs::BufferKind::remote_key;
  case cp::BufferKind::remote_value:
    return fbs::BufferKind::remote_value;
  case cp::BufferKind::accumulator:
    return fbs::BufferKind::accumulator;
  }
  llvm_unreachable("a buffer kind of another name");
}

fbs::BufferKind kindOf(cp::GradientKind kind) {
  switch (kind) {
  case cp::GradientKind::delta:
    return fbs::BufferKind::delta;
  case cp::GradientKind::query_sum:
    return fbs::BufferKind::query_sum;
  case cp::GradientKind::key_sum:
    return fbs::BufferKind::key_sum;
  case cp::GradientKind::value_sum:
    return fbs::BufferKind::value_sum;
  case cp::GradientKind::remote_key_sum:
    return fbs::BufferKind::remote_key_sum;
  case cp::GradientKind::remote_value_sum:
    return fbs::BufferKind::remote_value_sum;
  case cp::GradientKind::outgoing:
    return fbs::BufferKind::outgoing;
  case cp::GradientKind::incoming:
    return fbs::BufferKind::incoming;
  }
  llvm_unreachable("a gradient kind of another name");
}

/// Translates one program, except for its messages.
class ProgramEmitter {
public:
  ProgramEmitter(cp::BatchOp batch, cp::ProgramOp program,
                 ArrayRef<fbs::Document> documents, const llvm::BitVector &kept,
                 RankTables &tables)
      : program(program), tables(tables), heads(batch.getHeads()),
        dtype(PlanOf(dtypeOf(batch.getDtype()))), documents(documents),
        kept(kept), home(program.getLayout()) {}

  std::vector<StageRows> emit() {
    emitLayout();
    emitBuffers();
    countTiles();
    for (auto compute : program.getBody().getOps<cp::AttendOp>())
      for (size_t i = 0; i < compute.getTiles().size(); i += cp::kStageTileSize)
        emitTile(compute.getTiles().slice(i, cp::kStageTileSize),
                 stages[compute.getStage()]);
    return std::move(stages);
  }

private:
  /// Query rows of a tile: tiles with the same key add to the same rows.
  using QueryKey = std::tuple<int64_t, int64_t, int64_t>;
  static QueryKey queryKey(ArrayRef<int64_t> tile) {
    return {tile[0], tile[1], tile[5]};
  }

  void emitLayout() {
    ArrayRef<int64_t> l = program.getLayout();
    for (size_t i = 0; i < l.size(); i += cp::kTokenRangeSize)
      tables.layout.emplace_back(l[i], l[i + 1], l[i + 2]);
    tables.workspaceBytes = *program.getWorkspaceBytes();
    tables.backwardWorkspaceBytes = *program.getBackwardWorkspaceBytes();
    tables.savedBytes = *program.getSavedBytes();
  }

  void addBuffer(uint64_t offset, uint32_t rows, uint32_t numHeads,
                 uint32_t dim, fbs::BufferKind kind, fbs::DType type) {
    tables.buffers.emplace_back(offset, rows, numHeads, dim, kind, type);
  }

  void emitBuffers() {
    uint32_t rows = home.numRows(), q = heads.getQ(), kv = heads.getKv(),
             dim = heads.getDim();
    addBuffer(0, rows, q, dim, fbs::BufferKind::query, dtype);
    addBuffer(0, rows, kv, dim, fbs::BufferKind::key, dtype);
    addBuffer(0, rows, kv, dim, fbs::BufferKind::value, dtype);
    addBuffer(0, rows, q, dim, fbs::BufferKind::output, dtype);
    addBuffer(0, rows, q, 1, fbs::BufferKind::lse, fbs::DType::f32);
    addBuffer(0, rows, q, dim, fbs::BufferKind::output_gradient, dtype);
    addBuffer(0, rows, q, dim, fbs::BufferKind::query_gradient, dtype);
    addBuffer(0, rows, kv, dim, fbs::BufferKind::key_gradient, dtype);
    addBuffer(0, rows, kv, dim, fbs::BufferKind::value_gradient, dtype);
    stages.emplace_back();
    stages[0].rows.index = stages[0].savedRows.index = home;
    stages.resize(1 +
                  llvm::range_size(program.getBody().getOps<cp::ExchangeOp>()));
    for (auto buffer : program.getBody().getOps<cp::BufferOp>())
      emitWorkspaceBuffer(buffer);
    for (RemoteStage &stage : remoteStagesOf(program))
      if (!stage.hasOwnRows())
        stages[stage.exchange.getStage()] = stages[stage.rowsStage];
    for (auto buffer : program.getBody().getOps<cp::GradientBufferOp>())
      emitGradientBuffer(buffer);
  }

  void emitGradientBuffer(cp::GradientBufferOp buffer) {
    uint32_t numHeads = heads.getKv(), dim = heads.getDim();
    fbs::DType type = fbs::DType::f32;
    if (buffer.getKind() == cp::GradientKind::query_sum) {
      numHeads = heads.getQ();
    } else if (buffer.getKind() == cp::GradientKind::delta) {
      numHeads = heads.getQ();
      dim = 1;
    } else if (buffer.getKind() == cp::GradientKind::outgoing ||
               buffer.getKind() == cp::GradientKind::incoming) {
      numHeads = 1;
      type = dtype;
    }
    addBuffer(buffer.getOffset(), buffer.getRows(), numHeads, dim,
              kindOf(buffer.getKind()), type);
  }

  void emitWorkspaceBuffer(cp::BufferOp buffer) {
    uint16_t number = tables.buffers.size();
    RowIndex index(buffer.getHolds());
    bool isAccumulator = buffer.getKind() == cp::BufferKind::accumulator;
    addBuffer(buffer.getOffset(), index.numRows(),
              isAccumulator ? heads.getQ() : heads.getKv(), heads.getDim(),
              kindOf(buffer.getKind()),
              isAccumulator ? fbs::DType::f32 : dtype);
    if (isAccumulator) {
      accumulatorBuffer = number;
      accumulator = std::move(index);
      return;
    }
    bool isSaved = buffer.getKind() == cp::BufferKind::saved_key ||
                   buffer.getKind() == cp::BufferKind::saved_value;
    StageRows &stage = stages[buffer.getStage()];
    KeyValueRows &rows = isSaved ? stage.savedRows : stage.rows;
    if (buffer.getKind() == cp::BufferKind::remote_key ||
        buffer.getKind() == cp::BufferKind::saved_key) {
      rows.keyBuffer = number;
      rows.index = std::move(index);
    } else {
      rows.valueBuffer = number;
    }
  }

  /// How many tiles add to the same query rows.
  void countTiles() {
    for (auto compute : program.getBody().getOps<cp::AttendOp>())
      for (size_t i = 0; i < compute.getTiles().size(); i += cp::kStageTileSize)
        ++tilesLeft[queryKey(compute.getTiles().slice(i, cp::kStageTileSize))]
              .total;
  }

  void emitTile(ArrayRef<int64_t> tile, const StageRows &stage) {
    const KeyValueRows &rows = stage.of(kept[tile[0]]);
    TileCount &count = tilesLeft[queryKey(tile)];
    bool first = count.emitted++ == 0;
    bool last = count.emitted == count.total;
    bool alone = first && last;
    uint32_t accumulatorRow =
        alone ? 0 : *accumulator.find(tile[0], tile[1], tile[2]);
    tables.tiles.emplace_back(
        tile[0], tile[1], tile[2] - tile[1], tile[3], tile[4] - tile[3],
        documents[tile[0]].band(), *home.find(tile[0], tile[1], tile[2]),
        *rows.index.find(tile[0], tile[3], tile[4]), accumulatorRow, tile[5],
        tile[6], kQuery, rows.keyBuffer, rows.valueBuffer, kOutput, kLse,
        alone ? uint16_t(kOutput) : accumulatorBuffer, first, last);
  }

  struct TileCount {
    uint32_t total = 0, emitted = 0;
  };

  cp::ProgramOp program;
  RankTables &tables;
  cp::HeadsAttr heads;
  fbs::DType dtype;
  ArrayRef<fbs::Document> documents;
  const llvm::BitVector &kept; // documents
  RowIndex home;
  RowIndex accumulator{{}};
  uint16_t accumulatorBuffer = 0;
  std::vector<StageRows> stages;
  llvm::DenseMap<QueryKey, TileCount> tilesLeft;
};

} // namespace

std::vector<StageRows> emitProgram(cp::BatchOp batch, cp::ProgramOp program,
                                   ArrayRef<fbs::Document> documents,
                                   const llvm::BitVector &kept,
                                   RankTables &tables) {
  return ProgramEmitter(batch, program, documents, kept, tables).emit();
}

} // namespace flashcp

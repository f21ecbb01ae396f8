// Each tile with its rows, and whether it is the first or the last of those
// that add to its query rows.

#include "compiler/emit/EmitTiles.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace flashcp {
namespace {

/// Query rows and first head of a tile: tiles with equal keys add to the same
/// results.
using QueryKey = std::tuple<int64_t, int64_t, int64_t>;

QueryKey queryKey(const cp::StageTile &tile) {
  return {tile.document, tile.queryBegin, tile.headBegin};
}

struct TileCount {
  uint32_t total = 0, emitted = 0;
};

class TileEmitter {
public:
  TileEmitter(cp::ProgramOp program, ArrayRef<fbs::Document> documents,
              const RankRows &rows, RankTables &tables)
      : documents(documents), rows(rows), tables(tables) {
    for (auto attend : program.getBody().getOps<cp::AttendOp>())
      for (const cp::StageTile &tile : attend.getTiles())
        ++counts[queryKey(tile)].total;
  }

  void emit(const cp::StageTile &tile, const StageRows &stage) {
    auto [keys, keyRow] = findKeys(tile, stage);
    TileCount &count = counts[queryKey(tile)];
    bool first = count.emitted++ == 0;
    bool last = count.emitted == count.total;
    bool alone = first && last;
    uint32_t accumulatorRow =
        alone ? 0
              : *rows.accumulator.find(tile.document, tile.queryBegin,
                                       tile.queryEnd);
    tables.tiles.emplace_back(
        tile.document, tile.queryBegin, tile.queryEnd - tile.queryBegin,
        tile.keyBegin, tile.keyEnd - tile.keyBegin,
        documents[tile.document].band(),
        *rows.home.find(tile.document, tile.queryBegin, tile.queryEnd), keyRow,
        accumulatorRow, tile.headBegin, tile.headEnd, kQuery, keys->keyBuffer,
        keys->valueBuffer, kOutput, kLse,
        alone ? uint16_t(kOutput) : rows.accumulatorBuffer, first, last);
  }

private:
  /// Returns where the keys of a tile are; C28 says that they are somewhere.
  static std::pair<const KeyValueRows *, uint32_t>
  findKeys(const cp::StageTile &tile, const StageRows &stage) {
    for (bool saved : {false, true})
      if (auto row = stage.of(saved).index.find(tile.document, tile.keyBegin,
                                                tile.keyEnd))
        return {&stage.of(saved), *row};
    llvm_unreachable("C28: a stage holds the keys of its tiles");
  }

  ArrayRef<fbs::Document> documents;
  const RankRows &rows;
  RankTables &tables;
  llvm::DenseMap<QueryKey, TileCount> counts;
};

} // namespace

void emitTiles(cp::ProgramOp program, ArrayRef<fbs::Document> documents,
               const RankRows &rows, RankTables &tables) {
  TileEmitter emitter(program, documents, rows, tables);
  for (auto attend : program.getBody().getOps<cp::AttendOp>())
    for (const cp::StageTile &tile : attend.getTiles())
      emitter.emit(tile, rows.stages[attend.getStage()]);
}

} // namespace flashcp

// Rules of shards, tiles and transfers: phases placed and communicating.

#include "compiler/analysis/Coverage.h"
#include "compiler/analysis/PhaseRules.h"

using namespace mlir;

namespace flashcp {
namespace {

/// Ranges of one document that ranks receive, by receiver and position.
SmallVector<cp::MovedRange> movedOf(Value sharded) {
  SmallVector<cp::MovedRange> moved;
  for (Operation *user : sharded.getUsers())
    if (auto transfer = dyn_cast<cp::TransferOp>(user))
      llvm::append_range(moved, transfer.getRanges());
  llvm::sort(moved, [](const cp::MovedRange &a, const cp::MovedRange &b) {
    return std::tie(a.receiver, a.begin) < std::tie(b.receiver, b.begin);
  });
  return moved;
}

/// Returns the first key of the tile that its rank neither owns nor receives,
/// or the end of the tile's keys.
int64_t firstMissingKey(ArrayRef<cp::MovedRange> moved,
                        const OwnedRanges &owned, const cp::RankTile &tile) {
  int64_t missing = tile.keyEnd;
  const cp::MovedRange *from = llvm::lower_bound(
      moved, tile.rank, [](const cp::MovedRange &range, int64_t rank) {
        return range.receiver < rank;
      });
  owned.forEachMissing(
      tile.rank, tile.keyBegin, tile.keyEnd, [&](int64_t begin, int64_t end) {
        const cp::MovedRange *range = from;
        for (; range != moved.end() && range->receiver == tile.rank; ++range)
          if (range->begin <= begin)
            begin = std::max(begin, range->end);
        if (begin < end)
          missing = std::min(missing, begin);
      });
  return missing;
}

/// Returns whether one of the ranges that `rank` receives from owners holds all
/// of [begin, end).
bool receivesDirectly(ArrayRef<cp::MovedRange> moved, int64_t rank,
                      int64_t begin, int64_t end) {
  const cp::MovedRange *next = llvm::upper_bound(
      moved, std::pair(rank, begin), [](auto key, const cp::MovedRange &range) {
        return key < std::pair(range.receiver, range.begin);
      });
  while (next != moved.begin() && (--next)->receiver == rank)
    if (next->relay == cp::kNoRelay && end <= next->end)
      return true;
  return false;
}

/// C31: a relayed range lies in one that its relay, on the receiver's node,
/// receives from owners.
LogicalResult verifyRelays(cp::ShardOp shard, ArrayRef<cp::MovedRange> moved,
                           int64_t ranksPerNode) {
  for (const cp::MovedRange &range : moved) {
    if (range.relay == cp::kNoRelay ||
        (range.relay / ranksPerNode == range.receiver / ranksPerNode &&
         receivesDirectly(moved, range.relay, range.begin, range.end)))
      continue;
    return shard.emitOpError()
           << "C31: rank " << range.relay << " must be on the node of rank "
           << range.receiver << " and receive [" << range.begin << ", "
           << range.end << ") from its owners to send it on";
  }
  return success();
}

/// C24 for one tile.
LogicalResult verifyTile(cp::TilesOp op, const cp::RankTile &tile,
                         ArrayRef<cp::MovedRange> moved,
                         const OwnedRanges &owned) {
  auto error = [&](const Twine &text) {
    InFlightDiagnostic diagnostic = op.emitOpError()
                                    << "C24: rank " << tile.rank << text.str();
    diagnostic.attachNote(op.getShardOp().getLoc())
        << "the owners are listed here";
    return diagnostic;
  };
  int64_t missing = firstMissingKey(moved, owned, tile);
  if (missing < tile.keyEnd)
    return error(" reads key " + Twine(missing) +
                 ", which it neither owns nor receives");
  for (const cp::OwnedRange &range : owned.of(tile.rank))
    if (range.begin <= tile.queryBegin && tile.queryEnd <= range.end)
      return success();
  return error(" computes queries [" + Twine(tile.queryBegin) + ", " +
               Twine(tile.queryEnd) + ") but does not own them");
}

} // namespace

LogicalResult verifyShards(cp::BatchOp batch, const BatchAnalysis &analysis) {
  size_t next = 0;
  for (cp::ShardOp shard : analysis.shards()) {
    if (next >= analysis.documents().size() ||
        shard.getDocumentOp() != analysis.documents()[next]) {
      InFlightDiagnostic error =
          shard.emitOpError()
          << "C22: each document needs one shard, in the order of the "
             "documents; this one is not that of document "
          << next;
      error.attachNote(shard.getDocumentOp().getLoc())
          << "it is that of this document";
      return error;
    }
    ++next;
  }
  if (next != analysis.documents().size())
    return cp::DocumentOp(analysis.documents()[next]).emitOpError()
           << "C22: has no cp.shard";
  absl::Status status = analysis.placement().Verify(analysis.problem());
  if (!status.ok())
    return batch.emitOpError() << "C23: " << std::string(status.message());
  return success();
}

LogicalResult verifyCoverage(const BatchAnalysis &analysis, int64_t queryHeads,
                             TilesByDocument tiles) {
  const solver::Problem &problem = analysis.problem();
  for (auto [i, op] : llvm::enumerate(analysis.documents())) {
    std::string error = checkCoverage(problem.documents[i], queryHeads,
                                      std::move(tiles[i]));
    if (!error.empty())
      return cp::DocumentOp(op).emitOpError() << "C25: " << error;
  }
  return success();
}

LogicalResult verifyTiles(cp::BatchOp batch, const BatchAnalysis &analysis) {
  TilesByDocument tiles(analysis.documents().size());
  for (auto op : batch.getBody().getOps<cp::TilesOp>()) {
    int64_t document = analysis.numberOf(op.getShardOp().getDocumentOp());
    for (const cp::RankTile &tile : op.getTiles())
      tiles[document].push_back(
          {document, tile.queryBegin, tile.queryEnd, tile.keyBegin, tile.keyEnd,
           int64_t(op.getHeadBegin()), int64_t(op.getHeadEnd())});
  }
  return verifyCoverage(analysis, batch.getHeads().getQ(), std::move(tiles));
}

LogicalResult verifyTransfers(cp::BatchOp batch,
                              const BatchAnalysis &analysis) {
  for (auto op : batch.getBody().getOps<cp::TilesOp>()) {
    SmallVector<cp::MovedRange> moved = movedOf(op.getSharded());
    if (failed(verifyRelays(op.getShardOp(), moved,
                            analysis.problem().cluster.ranks_per_node)))
      return failure();
    for (const cp::RankTile &tile : op.getTiles())
      if (failed(verifyTile(op, tile, moved, analysis.owned(op.getShardOp()))))
        return failure();
  }
  return success();
}

} // namespace flashcp

// cp-insert-transfers: every K/V row that a tile reads and its rank does not
// own is moved there.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_INSERTTRANSFERS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Returns the key/value heads that query heads [begin, end) read.
std::pair<int64_t, int64_t> keyValueHeads(cp::HeadsAttr heads, int64_t begin,
                                          int64_t end) {
  int64_t group = heads.getQ() / heads.getKv();
  return {begin / group, (end + group - 1) / group};
}

/// Returns what tiles read and their ranks do not own.
SmallVector<cp::MovedRange> neededRanges(cp::TilesOp tiles,
                                         const OwnedRanges &owned) {
  SmallVector<cp::MovedRange> ranges;
  for (const cp::RankTile &tile : tiles.getTiles())
    owned.forEachMissing(tile.rank, tile.keyBegin, tile.keyEnd,
                         [&](int64_t begin, int64_t end) {
                           ranges.push_back({begin, end, tile.rank});
                         });
  return ranges;
}

/// Returns all rows of a document for every rank that does not own them.
SmallVector<cp::MovedRange> allRanges(cp::ShardOp shard,
                                      const OwnedRanges &owned, int64_t ranks) {
  SmallVector<cp::MovedRange> ranges;
  int64_t length = shard.getDocumentOp().getLength();
  for (int64_t rank = 0; rank < ranks; ++rank)
    owned.forEachMissing(rank, 0, length, [&](int64_t begin, int64_t end) {
      ranges.push_back({begin, end, rank});
    });
  return ranges;
}

struct InsertTransfersPass : impl::InsertTransfersBase<InsertTransfersPass> {
  using InsertTransfersBase::InsertTransfersBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::placed, getArgument())))
      return signalPassFailure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()))
      return signalPassFailure();
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    if (batch.getExchange() == cp::Exchange::all_gather)
      gatherAll(batch, analysis, builder);
    else
      moveNeeded(batch, analysis, builder);
  }

  void moveNeeded(cp::BatchOp batch, const BatchAnalysis &analysis,
                  OpBuilder &builder) {
    // Tiles precede what is inserted: collect them first.
    for (cp::TilesOp tiles :
         llvm::to_vector(batch.getBody().getOps<cp::TilesOp>()))
      insert(builder, tiles.getShardOp(),
             keyValueHeads(batch.getHeads(), tiles.getHeadBegin(),
                           tiles.getHeadEnd()),
             neededRanges(tiles, analysis.owned(tiles.getShardOp())));
  }

  void gatherAll(cp::BatchOp batch, const BatchAnalysis &analysis,
                 OpBuilder &builder) {
    for (cp::ShardOp shard : analysis.shards())
      insert(builder, shard, {0, batch.getHeads().getKv()},
             allRanges(shard, analysis.owned(shard), batch.getRanks()));
  }

  void insert(OpBuilder &builder, cp::ShardOp shard,
              std::pair<int64_t, int64_t> heads,
              ArrayRef<cp::MovedRange> ranges) {
    if (ranges.empty())
      return;
    cp::TransferOp::create(builder, shard.getLoc(), shard, cp::Tensor::kv,
                           heads.first, heads.second, /*saved=*/false, ranges);
    numRanges += ranges.size();
  }
};

} // namespace
} // namespace flashcp

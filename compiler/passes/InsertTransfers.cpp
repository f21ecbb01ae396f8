// cp-insert-transfers: every K/V row that a tile reads and its rank does not
// own is moved there.

#include "compiler/analysis/OwnedRanges.h"
#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_INSERTTRANSFERS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Key/value heads that query heads [begin, end) read.
std::pair<int64_t, int64_t> keyValueHeads(cp::HeadsAttr heads, int64_t begin,
                                          int64_t end) {
  int64_t group = heads.getQ() / heads.getKv();
  return {begin / group, (end + group - 1) / group};
}

/// What the tiles of an attend read and their ranks do not own.
SmallVector<int64_t> neededRanges(cp::TilesOp attend,
                                  const OwnedRanges &owned) {
  SmallVector<int64_t> ranges;
  ArrayRef<int64_t> tiles = attend.getTiles();
  for (size_t i = 0; i < tiles.size(); i += cp::kRankTileSize) {
    int64_t rank = tiles[i + 4];
    owned.forEachMissing(rank, tiles[i + 2], tiles[i + 3], [&](TokenSpan span) {
      ranges.append({span.begin, span.end, rank, cp::kNoRelay});
    });
  }
  return ranges;
}

/// All rows of a document to every rank that does not own them.
SmallVector<int64_t> allRanges(cp::ShardOp shard, const OwnedRanges &owned,
                               int64_t ranks) {
  SmallVector<int64_t> ranges;
  int64_t length = shard.getDocumentOp().getLength();
  for (int64_t rank = 0; rank < ranks; ++rank)
    owned.forEachMissing(rank, 0, length, [&](TokenSpan span) {
      ranges.append({span.begin, span.end, rank, cp::kNoRelay});
    });
  return ranges;
}

struct InsertTransfersPass : impl::InsertTransfersBase<InsertTransfersPass> {
  using InsertTransfersBase::InsertTransfersBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::placed, getArgument())))
      return signalPassFailure();
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    if (batch.getExchange() == cp::Exchange::all_gather)
      gatherAll(batch, builder);
    else
      moveNeeded(batch, builder);
  }

  void moveNeeded(cp::BatchOp batch, OpBuilder &builder) {
    // Attends precede what is inserted: collect them first.
    for (cp::TilesOp attend :
         llvm::to_vector(batch.getBody().getOps<cp::TilesOp>())) {
      OwnedRanges owned(attend.getShardOp());
      insert(builder, attend.getShardOp(),
             keyValueHeads(batch.getHeads(), attend.getHeadBegin(),
                           attend.getHeadEnd()),
             neededRanges(attend, owned));
    }
  }

  void gatherAll(cp::BatchOp batch, OpBuilder &builder) {
    for (cp::ShardOp shard :
         llvm::to_vector(batch.getBody().getOps<cp::ShardOp>()))
      insert(builder, shard, {0, batch.getHeads().getKv()},
             allRanges(shard, OwnedRanges(shard), batch.getRanks()));
  }

  void insert(OpBuilder &builder, cp::ShardOp shard,
              std::pair<int64_t, int64_t> heads, ArrayRef<int64_t> ranges) {
    if (ranges.empty())
      return;
    cp::TransferOp::create(builder, shard.getLoc(), shard, cp::Tensor::kv,
                           heads.first, heads.second, ranges);
    numRanges += ranges.size() / cp::kReceivedSize;
  }
};

} // namespace
} // namespace flashcp

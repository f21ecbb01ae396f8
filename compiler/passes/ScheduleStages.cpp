// cp-schedule-stages: one program per rank, local tiles first, then what each
// exchange brings: some of the rows, or some of the heads of all rows. The
// number of exchanges, and which of the two, comes from the cost model and is
// the same for all ranks.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/ReceivedRows.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/stage_load.h"
#include "compiler/solver/stages.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_SCHEDULESTAGES
#include "compiler/passes/Passes.h.inc"

namespace {

/// The tiles of cp.attend, by stage.
using StageTiles = SmallVector<SmallVector<cp::StageTile>>;

/// What one rank owns, computes and receives, in order of document and
/// position.
struct RankWork {
  SmallVector<cp::TokenRange> layout;
  SmallVector<cp::StageTile> tiles;
  SmallVector<StagedRange> received;
};

/// Everything that the pass reads from the batch.
struct BatchWork {
  const BatchAnalysis &analysis;
  std::vector<RankWork> ranks;
  bool relayed = false; // some rank sends received rows on

  ArrayRef<cp::OwnedRange> owned(const cp::StageTile &tile,
                                 int64_t rank) const {
    return analysis.owned(tile.document).of(rank);
  }
};

BatchWork collectWork(cp::BatchOp batch, const BatchAnalysis &analysis) {
  BatchWork work{analysis, std::vector<RankWork>(batch.getRanks())};
  for (auto [document, shard] : llvm::enumerate(analysis.shards()))
    for (const cp::OwnedRange &range : cp::ShardOp(shard).getOwned())
      work.ranks[range.owner].layout.push_back(
          {int64_t(document), range.begin, range.end});
  for (auto op : batch.getBody().getOps<cp::TilesOp>()) {
    int64_t document = analysis.numberOf(op.getShardOp().getDocumentOp());
    for (const cp::RankTile &tile : op.getTiles())
      work.ranks[tile.rank].tiles.push_back(
          {document, tile.queryBegin, tile.queryEnd, tile.keyBegin, tile.keyEnd,
           int64_t(op.getHeadBegin()), int64_t(op.getHeadEnd())});
  }
  for (auto op : batch.getBody().getOps<cp::TransferOp>()) {
    int64_t document = analysis.numberOf(op.getShardOp().getDocumentOp());
    for (const cp::MovedRange &range : op.getRanges()) {
      work.ranks[range.receiver].received.push_back(
          {{document, range.begin, range.end, range.relay, op.getSaved()}});
      work.relayed |= range.relay != cp::kNoRelay;
    }
  }
  for (RankWork &rank : work.ranks) {
    llvm::stable_sort(rank.tiles,
                      [](const cp::StageTile &a, const cp::StageTile &b) {
                        return a.document < b.document;
                      });
    markFresh(rank.received);
  }
  return work;
}

/// Returns how many keys of a tile lie in the owned ranges.
int64_t countLocalKeys(const cp::StageTile &tile,
                       ArrayRef<cp::OwnedRange> owned) {
  int64_t count = 0;
  for (const cp::OwnedRange &range : owned)
    count += std::max<int64_t>(0, std::min(range.end, tile.keyEnd) -
                                      std::max(range.begin, tile.keyBegin));
  return count;
}

/// Returns the tiles of a rank as the cost model sees them.
std::vector<solver::LoadTile> loadTiles(const BatchWork &work, int64_t rank) {
  std::vector<solver::LoadTile> tiles;
  for (const cp::StageTile &tile : work.ranks[rank].tiles) {
    int64_t keys = tile.keyEnd - tile.keyBegin;
    tiles.push_back({tile.document, tile.queryBegin, tile.queryEnd,
                     keys - countLocalKeys(tile, work.owned(tile, rank))});
  }
  return tiles;
}

/// Returns how remote rows arrive; 0 stages if nothing moves.
solver::Pipelining choosePipelining(const BatchWork &work) {
  if (llvm::all_of(work.ranks,
                   [](const RankWork &rank) { return rank.received.empty(); }))
    return {0, false};
  const solver::Problem &problem = work.analysis.problem();
  solver::PlacementCost cost =
      solver::Evaluate(problem, work.analysis.placement());
  std::vector<solver::StageLoad> loads;
  for (int64_t rank = 0; rank < problem.ranks; ++rank)
    loads.push_back(
        solver::LoadOfStages(problem, loadTiles(work, rank), cost.ranks[rank]));
  return solver::ChooseStages(loads, problem.heads.key_value);
}

/// Adds the part of a tile whose keys lie in [begin, end).
void addPart(cp::StageTile tile, int64_t begin, int64_t end,
             SmallVector<cp::StageTile> &tiles) {
  tile.keyBegin = std::max(begin, tile.keyBegin);
  tile.keyEnd = std::min(end, tile.keyEnd);
  if (tile.keyBegin < tile.keyEnd)
    tiles.push_back(tile);
}

/// Key/value heads of a stage, and the query heads that read them.
struct StageHeads {
  int64_t keyBegin, keyEnd, queryBegin, queryEnd;
};

/// Returns equal parts of the heads, one for each stage.
SmallVector<StageHeads> headsOfStages(cp::HeadsAttr heads, int64_t stages) {
  SmallVector<StageHeads> parts;
  for (int64_t i = 0; i < stages; ++i)
    parts.push_back(
        {i * heads.getKv() / stages, (i + 1) * heads.getKv() / stages,
         i * heads.getQ() / stages, (i + 1) * heads.getQ() / stages});
  return parts;
}

/// Returns the tile with those of its heads that a stage brings; with none if
/// headBegin >= headEnd.
cp::StageTile restrict(cp::StageTile tile, const StageHeads &heads) {
  tile.headBegin = std::max(tile.headBegin, heads.queryBegin);
  tile.headEnd = std::min(tile.headEnd, heads.queryEnd);
  return tile;
}

/// Returns the received ranges of a document.
ArrayRef<StagedRange> rangesOf(ArrayRef<StagedRange> received,
                               int64_t document) {
  auto before = [](const StagedRange &range, int64_t document) {
    return range.document < document;
  };
  const StagedRange *first = llvm::lower_bound(received, document, before);
  const StagedRange *last = first;
  while (last != received.end() && last->document == document)
    ++last;
  return {first, last};
}

/// Splits a rank's tiles by where their keys are and by heads: stage 0 reads
/// own rows, stage s the heads of stage s of what all exchanges bring. Local
/// tiles that remote ones add to are split alike, so that both are about the
/// same results.
StageTiles splitTilesByHeads(const BatchWork &work, int64_t rank,
                             ArrayRef<StagedRange> received,
                             ArrayRef<StageHeads> headsOfStage) {
  StageTiles stages(headsOfStage.size() + 1);
  for (const cp::StageTile &tile : work.ranks[rank].tiles) {
    ArrayRef<cp::OwnedRange> owned = work.owned(tile, rank);
    if (countLocalKeys(tile, owned) == tile.keyEnd - tile.keyBegin) {
      for (const cp::OwnedRange &range : owned)
        addPart(tile, range.begin, range.end, stages[0]);
      continue;
    }
    for (auto [i, heads] : llvm::enumerate(headsOfStage)) {
      cp::StageTile part = restrict(tile, heads);
      if (part.headBegin >= part.headEnd)
        continue;
      for (const cp::OwnedRange &range : owned)
        addPart(part, range.begin, range.end, stages[0]);
      for (const StagedRange &range : rangesOf(received, tile.document))
        addPart(part, range.freshBegin, range.end, stages[i + 1]);
    }
  }
  return stages;
}

/// Splits a rank's tiles by where their keys are: stage 0 reads own rows, stage
/// s what exchange s brings. C24 says that there are no others.
StageTiles splitTiles(const BatchWork &work, int64_t rank,
                      ArrayRef<StagedRange> received, int64_t numStages) {
  StageTiles stages(numStages + 1);
  for (const cp::StageTile &tile : work.ranks[rank].tiles) {
    for (const cp::OwnedRange &range : work.owned(tile, rank))
      addPart(tile, range.begin, range.end, stages[0]);
    for (const StagedRange &range : rangesOf(received, tile.document))
      addPart(tile, range.freshBegin, range.end, stages[range.stage]);
  }
  return stages;
}

struct ScheduleStagesPass : impl::ScheduleStagesBase<ScheduleStagesPass> {
  using ScheduleStagesBase::ScheduleStagesBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::communicating, getArgument())))
      return signalPassFailure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()) || failed(checkTransfers(batch)))
      return signalPassFailure();
    const solver::Problem &problem = analysis.problem();
    BatchWork work = collectWork(batch, analysis);
    solver::Pipelining pipelining = choosePipelining(work);
    if (stages > 0 && pipelining.stages > 0)
      pipelining = {int(stages), byHeads};
    if (pipelining.by_heads &&
        problem.heads.key_value % pipelining.stages != 0) {
      batch.emitOpError() << "by-heads: " << problem.heads.key_value
                          << " key/value heads do not make "
                          << pipelining.stages << " equal stages";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    if (pipelining.by_heads)
      buildByHeads(builder, batch, work, pipelining.stages);
    else
      buildByRows(builder, batch, work, pipelining.stages);
    eraseScheduled(batch);
  }

  /// Exchanges carry all key/value heads: there is no program yet that splits
  /// them.
  LogicalResult checkTransfers(cp::BatchOp batch) {
    for (auto transfer : batch.getBody().getOps<cp::TransferOp>())
      if (transfer.getHeadBegin() != 0 ||
          transfer.getHeadEnd() != uint64_t(batch.getHeads().getKv()))
        return transfer.emitOpError()
               << "C21: stages move all " << batch.getHeads().getKv()
               << " key/value heads of a row, found ["
               << transfer.getHeadBegin() << ", " << transfer.getHeadEnd()
               << ")";
    return success();
  }

  /// Builds stages of rows: each brings some of the rows, with all heads.
  void buildByRows(OpBuilder &builder, cp::BatchOp batch, const BatchWork &work,
                   int64_t numStages) {
    std::vector<SmallVector<StagedRange>> received;
    for (const RankWork &rank : work.ranks)
      received.push_back(rank.received);
    std::vector<SmallVector<Cut>> cuts =
        cutsOf(received, work.relayed,
               work.analysis.problem().cluster.ranks_per_node, numStages);
    StageHeads all = headsOfStages(batch.getHeads(), 1).front();
    for (auto [rank, rows] : llvm::enumerate(received)) {
      SmallVector<StagedRange> cut = cutIntoStages(rows, cuts[rank]);
      StageTiles tiles = splitTiles(work, rank, readRows(work, cut), numStages);
      SmallVector<SmallVector<StagedRange>> ofStage(numStages);
      for (const StagedRange &range : cut)
        ofStage[range.stage - 1].push_back(range);
      OpBuilder body = startProgram(builder, batch, work, rank, tiles);
      for (int64_t stage = 1; stage <= numStages; ++stage)
        addStage(body, work, stage, ofStage[stage - 1], all, tiles);
    }
  }

  /// Builds stages of heads: each brings all rows, with some of the heads.
  void buildByHeads(OpBuilder &builder, cp::BatchOp batch,
                    const BatchWork &work, int64_t numStages) {
    SmallVector<StageHeads> heads = headsOfStages(batch.getHeads(), numStages);
    for (auto [rank, ofRank] : llvm::enumerate(work.ranks)) {
      StageTiles tiles =
          splitTilesByHeads(work, rank, readRows(work, ofRank.received), heads);
      OpBuilder body = startProgram(builder, batch, work, rank, tiles);
      for (auto [i, ofStage] : llvm::enumerate(heads))
        addStage(body, work, i + 1, ofRank.received, ofStage, tiles);
    }
  }

  /// Returns received rows as tiles read them. A relay may bring the middle of
  /// what a tile reads: to tiles all rows of a stage that touch are one range.
  static SmallVector<StagedRange> readRows(const BatchWork &work,
                                           ArrayRef<StagedRange> received) {
    return work.relayed ? joinRanges(received)
                        : SmallVector<StagedRange>(received);
  }

  /// Adds a program with its local tiles; returns where its stages go.
  static OpBuilder startProgram(OpBuilder &builder, cp::BatchOp batch,
                                const BatchWork &work, int64_t rank,
                                const StageTiles &tiles) {
    auto program = cp::ProgramOp::create(
        builder, batch.getLoc(), rank, work.ranks[rank].layout,
        /*workspace_bytes=*/IntegerAttr(),
        /*backward_workspace_bytes=*/IntegerAttr(),
        /*saved_bytes=*/IntegerAttr());
    OpBuilder body = OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());
    cp::AttendOp::create(body, batch.getLoc(), /*stage=*/0, tiles[0]);
    return body;
  }

  static void addStage(OpBuilder &body, const BatchWork &work, int64_t stage,
                       ArrayRef<StagedRange> received, const StageHeads &heads,
                       const StageTiles &tiles) {
    SmallVector<cp::ReceivedRange> direct, relayed;
    for (const StagedRange &range : received)
      (range.relay == cp::kNoRelay ? direct : relayed).push_back(range);
    Location loc = body.getBlock()->getParentOp()->getLoc();
    cp::ExchangeOp::create(body, loc, stage, /*relayed=*/false, cp::Tensor::kv,
                           heads.keyBegin, heads.keyEnd, direct);
    if (work.relayed)
      cp::ExchangeOp::create(body, loc, stage, /*relayed=*/true, cp::Tensor::kv,
                             heads.keyBegin, heads.keyEnd, relayed);
    cp::AttendOp::create(body, loc, stage, tiles[stage]);
  }

  /// Erases what the programs say now.
  void eraseScheduled(cp::BatchOp batch) {
    for (Operation &op : llvm::make_early_inc_range(batch.getBody().front()))
      if (isa<cp::TilesOp, cp::TransferOp>(op))
        op.erase();
  }
};

} // namespace
} // namespace flashcp

// cp-schedule-stages: one program per rank, local tiles first, then what each
// exchange brings: some of the rows, or some of the heads of all rows. The
// number of exchanges, and which of the two, comes from the cost model and is
// the same for all ranks.

#include "compiler/analysis/BatchProblem.h"
#include "compiler/analysis/OwnedRanges.h"
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

/// A tile of cp.tiles on its rank, documents by number.
struct Tile {
  int64_t document, queryBegin, queryEnd, keyBegin, keyEnd, headBegin, headEnd;
};

/// What one rank owns and computes, in order of document and position.
struct RankWork {
  SmallVector<int64_t> layout;
  SmallVector<Tile> tiles;
};

/// The numbers of cp.attend, by stage.
using StageTiles = SmallVector<SmallVector<int64_t>>;

/// Everything the pass reads from the batch.
struct BatchWork {
  SmallVector<OwnedRanges> owned; // by document
  std::vector<RankWork> ranks;
  std::vector<SmallVector<Received>> received; // by rank
  bool relayed = false;                        // some rank forwards rows
};

BatchWork collectWork(cp::BatchOp batch) {
  BatchWork work;
  work.ranks.resize(batch.getRanks());
  work.received.resize(batch.getRanks());
  llvm::DenseMap<Operation *, int64_t> numbers = documentNumbers(batch);
  for (auto shard : batch.getBody().getOps<cp::ShardOp>()) {
    int64_t document = numbers.lookup(shard.getDocumentOp());
    work.owned.emplace_back(shard);
    for (auto [i, owner] : llvm::enumerate(shard.getOwners()))
      work.ranks[owner].layout.append(
          {document, shard.getBounds()[i], shard.getBounds()[i + 1]});
  }
  for (auto attend : batch.getBody().getOps<cp::TilesOp>()) {
    int64_t document = numbers.lookup(attend.getShardOp().getDocumentOp());
    ArrayRef<int64_t> t = attend.getTiles();
    for (size_t i = 0; i < t.size(); i += cp::kRankTileSize)
      work.ranks[t[i + 4]].tiles.push_back(
          {document, t[i], t[i + 1], t[i + 2], t[i + 3],
           int64_t(attend.getHeadBegin()), int64_t(attend.getHeadEnd())});
  }
  for (auto transfer : batch.getBody().getOps<cp::TransferOp>()) {
    int64_t document = numbers.lookup(transfer.getShardOp().getDocumentOp());
    ArrayRef<int64_t> r = transfer.getRanges();
    for (size_t i = 0; i < r.size(); i += cp::kReceivedSize) {
      work.received[r[i + 2]].push_back(
          {document, r[i], r[i + 1], r[i], r[i + 3]});
      work.relayed |= r[i + 3] != cp::kNoRelay;
    }
  }
  for (RankWork &rank : work.ranks)
    llvm::stable_sort(rank.tiles, [](const Tile &a, const Tile &b) {
      return a.document < b.document;
    });
  for (SmallVector<Received> &received : work.received)
    markFresh(received);
  return work;
}

/// Keys of a tile that the rank owns.
int64_t countLocalKeys(const Tile &tile, ArrayRef<TokenSpan> owned) {
  int64_t count = 0;
  for (TokenSpan span : owned)
    count += std::max<int64_t>(0, std::min(span.end, tile.keyEnd) -
                                      std::max(span.begin, tile.keyBegin));
  return count;
}

/// The tiles of a rank as the cost model sees them.
std::vector<solver::LoadTile> loadTiles(const BatchWork &work, int64_t rank) {
  std::vector<solver::LoadTile> tiles;
  for (const Tile &tile : work.ranks[rank].tiles) {
    int64_t keys = tile.keyEnd - tile.keyBegin;
    ArrayRef<TokenSpan> owned = work.owned[tile.document].of(rank);
    tiles.push_back({tile.document, tile.queryBegin, tile.queryEnd,
                     keys - countLocalKeys(tile, owned)});
  }
  return tiles;
}

/// How remote rows arrive; 0 stages where nothing moves.
solver::Pipelining choosePipelining(const solver::Problem &problem,
                                    const solver::Placement &placement,
                                    const BatchWork &work) {
  if (llvm::all_of(work.received,
                   [](ArrayRef<Received> rows) { return rows.empty(); }))
    return {0, false};
  solver::PlacementCost cost = solver::Evaluate(problem, placement);
  std::vector<solver::StageLoad> loads;
  for (int64_t rank = 0; rank < problem.ranks; ++rank)
    loads.push_back(
        solver::LoadOfStages(problem, loadTiles(work, rank), cost.ranks[rank]));
  return solver::ChooseStages(loads, problem.heads.key_value);
}

/// Adds the part of a tile whose keys lie in [begin, end).
void addPiece(const Tile &tile, int64_t begin, int64_t end,
              SmallVector<int64_t> &tiles) {
  begin = std::max(begin, tile.keyBegin);
  end = std::min(end, tile.keyEnd);
  if (begin < end)
    tiles.append({tile.document, tile.queryBegin, tile.queryEnd, begin, end,
                  tile.headBegin, tile.headEnd});
}

/// A part of the heads: key/value heads, and the query heads that read them.
struct HeadGroup {
  int64_t keyBegin, keyEnd, queryBegin, queryEnd;
};

/// Equal parts of the heads, one for each stage.
SmallVector<HeadGroup> headGroups(cp::HeadsAttr heads, int64_t stages) {
  SmallVector<HeadGroup> groups;
  for (int64_t i = 0; i < stages; ++i)
    groups.push_back(
        {i * heads.getKv() / stages, (i + 1) * heads.getKv() / stages,
         i * heads.getQ() / stages, (i + 1) * heads.getQ() / stages});
  return groups;
}

/// The heads of a tile that lie in a group; none where headBegin >= headEnd.
Tile restrict(Tile tile, const HeadGroup &group) {
  tile.headBegin = std::max(tile.headBegin, group.queryBegin);
  tile.headEnd = std::min(tile.headEnd, group.queryEnd);
  return tile;
}

/// Splits a rank's tiles by where their keys are and by heads: stage 0 reads
/// own rows, stage s heads of group s of what all exchanges bring. Local tiles
/// that remote ones add to are split alike, so that both are about the same
/// results.
StageTiles splitTilesByHeads(const BatchWork &work, int64_t rank,
                             ArrayRef<Received> received,
                             ArrayRef<HeadGroup> groups) {
  StageTiles stages(groups.size() + 1);
  const Received *first = received.begin();
  for (const Tile &tile : work.ranks[rank].tiles) {
    ArrayRef<TokenSpan> owned = work.owned[tile.document].of(rank);
    if (countLocalKeys(tile, owned) == tile.keyEnd - tile.keyBegin) {
      for (TokenSpan span : owned)
        addPiece(tile, span.begin, span.end, stages[0]);
      continue;
    }
    while (first != received.end() && first->document < tile.document)
      ++first;
    for (auto [i, group] : llvm::enumerate(groups)) {
      Tile part = restrict(tile, group);
      if (part.headBegin >= part.headEnd)
        continue;
      for (TokenSpan span : owned)
        addPiece(part, span.begin, span.end, stages[0]);
      for (const Received *range = first;
           range != received.end() && range->document == tile.document; ++range)
        addPiece(part, range->freshBegin, range->end, stages[i + 1]);
    }
  }
  return stages;
}

/// Splits a rank's tiles by where their keys are: stage 0 reads own rows, stage
/// s what exchange s brings. C24 says that there are no others.
StageTiles splitTiles(const BatchWork &work, int64_t rank,
                      ArrayRef<Received> received, int64_t numStages) {
  StageTiles stages(numStages + 1);
  const Received *first = received.begin();
  for (const Tile &tile : work.ranks[rank].tiles) {
    for (TokenSpan span : work.owned[tile.document].of(rank))
      addPiece(tile, span.begin, span.end, stages[0]);
    while (first != received.end() && first->document < tile.document)
      ++first;
    for (const Received *range = first;
         range != received.end() && range->document == tile.document; ++range)
      addPiece(tile, range->freshBegin, range->end, stages[range->stage]);
  }
  return stages;
}

struct ScheduleStagesPass : impl::ScheduleStagesBase<ScheduleStagesPass> {
  using ScheduleStagesBase::ScheduleStagesBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::communicating, getArgument())))
      return signalPassFailure();
    FailureOr<solver::Problem> problem = problemOf(batch);
    if (failed(problem) || failed(checkTransfers(batch)))
      return signalPassFailure();
    BatchWork work = collectWork(batch);
    solver::Pipelining pipelining =
        choosePipelining(*problem, placementOf(batch), work);
    if (stages > 0 && pipelining.stages > 0)
      pipelining = {int(stages), byHeads};
    if (pipelining.by_heads &&
        problem->heads.key_value % pipelining.stages != 0) {
      batch.emitOpError() << "by-heads: " << problem->heads.key_value
                          << " key/value heads do not make "
                          << pipelining.stages << " equal stages";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    if (pipelining.by_heads)
      buildByHeads(builder, batch, work, pipelining.stages);
    else
      buildByRows(builder, batch, work, problem->cluster.ranks_per_node,
                  pipelining.stages);
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

  /// Stages of rows: each brings some of the rows, with all heads.
  void buildByRows(OpBuilder &builder, cp::BatchOp batch, const BatchWork &work,
                   int64_t ranksPerNode, int64_t numStages) {
    std::vector<SmallVector<Cut>> cuts =
        cutsOf(work.received, work.relayed, ranksPerNode, numStages);
    HeadGroup all = headGroups(batch.getHeads(), 1).front();
    for (auto [rank, rows] : llvm::enumerate(work.received)) {
      SmallVector<Received> received = cutIntoStages(rows, cuts[rank]);
      StageTiles tiles =
          splitTiles(work, rank, readRows(work, received), numStages);
      SmallVector<SmallVector<Received>> ofStage(numStages);
      for (const Received &range : received)
        ofStage[range.stage - 1].push_back(range);
      OpBuilder body = startProgram(builder, batch, work, rank, tiles);
      for (int64_t stage = 1; stage <= numStages; ++stage)
        addStage(body, work, stage, ofStage[stage - 1], all, tiles);
    }
  }

  /// Stages of heads: each brings all rows, with some of the heads.
  void buildByHeads(OpBuilder &builder, cp::BatchOp batch,
                    const BatchWork &work, int64_t numStages) {
    SmallVector<HeadGroup> groups = headGroups(batch.getHeads(), numStages);
    for (auto [rank, received] : llvm::enumerate(work.received)) {
      StageTiles tiles =
          splitTilesByHeads(work, rank, readRows(work, received), groups);
      OpBuilder body = startProgram(builder, batch, work, rank, tiles);
      for (auto [i, group] : llvm::enumerate(groups))
        addStage(body, work, i + 1, received, group, tiles);
    }
  }

  /// Received rows as tiles read them. A relay may bring the middle of what a
  /// tile reads: to tiles all rows of a stage that touch are one range.
  static SmallVector<Received> readRows(const BatchWork &work,
                                        ArrayRef<Received> received) {
    return work.relayed ? joinRanges(received)
                        : SmallVector<Received>(received);
  }

  /// A program with its local tiles; returns where its stages go.
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
                       ArrayRef<Received> received, const HeadGroup &heads,
                       const StageTiles &tiles) {
    SmallVector<int64_t> direct, forwarded;
    for (const Received &range : received)
      if (range.via == cp::kNoRelay)
        direct.append({range.document, range.begin, range.end});
      else
        forwarded.append({range.document, range.begin, range.end, range.via});
    Location loc = body.getBlock()->getParentOp()->getLoc();
    cp::ExchangeOp::create(body, loc, stage, cp::Tensor::kv, heads.keyBegin,
                           heads.keyEnd, direct);
    if (work.relayed)
      cp::RelayOp::create(body, loc, stage, cp::Tensor::kv, heads.keyBegin,
                          heads.keyEnd, forwarded);
    cp::AttendOp::create(body, loc, stage, tiles[stage]);
  }

  /// What the programs say now.
  void eraseScheduled(cp::BatchOp batch) {
    for (Operation &op : llvm::make_early_inc_range(batch.getBody().front()))
      if (isa<cp::TilesOp, cp::TransferOp>(op))
        op.erase();
  }
};

} // namespace
} // namespace flashcp

// cp-schedule-stages: one program per rank, stage by stage, with local tiles
// before stages whose rows are not there yet. The program runs once for each
// group of heads. The number of groups and of exchanges comes from the solver
// and is the same for all ranks.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/LocalTiles.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/ReceivedRows.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/pacing.h"
#include "compiler/solver/schedule.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_SCHEDULESTAGES
#include "compiler/passes/Passes.h.inc"

namespace {

/// The tiles of cp.attend, by stage.
using StageTiles = SmallVector<SmallVector<cp::StageTile>>;

/// What one rank owns and computes, in order of document and position.
struct RankWork {
  SmallVector<cp::TokenRange> layout;
  SmallVector<cp::StageTile> tiles;
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
  for (auto op : batch.getBody().getOps<cp::TransferOp>())
    work.relayed |=
        llvm::any_of(op.getRanges(), [](const cp::MovedRange &range) {
          return range.relay != cp::kNoRelay;
        });
  for (RankWork &rank : work.ranks)
    llvm::stable_sort(rank.tiles,
                      [](const cp::StageTile &a, const cp::StageTile &b) {
                        return a.document < b.document;
                      });
  return work;
}

/// Adds the part of a tile whose keys lie in [begin, end).
void addPart(cp::StageTile tile, int64_t begin, int64_t end,
             SmallVector<cp::StageTile> &tiles) {
  tile.keyBegin = std::max(begin, tile.keyBegin);
  tile.keyEnd = std::min(end, tile.keyEnd);
  if (tile.keyBegin < tile.keyEnd)
    tiles.push_back(tile);
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

/// Splits a rank's tiles by where their keys are: stage 0 reads own rows, stage
/// s what exchange s brings. C24 says that there are no others.
StageTiles splitTiles(const BatchWork &work, int64_t rank,
                      ArrayRef<StagedRange> received,
                      const solver::Schedule &schedule) {
  StageTiles stages(schedule.row_stages + 1);
  for (cp::StageTile tile : work.ranks[rank].tiles) {
    tile.headBegin /= schedule.head_groups;
    tile.headEnd /= schedule.head_groups;
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
    BatchWork work = collectWork(batch, analysis);
    FailureOr<solver::Schedule> schedule = chooseSchedule(batch, work);
    if (failed(schedule) || failed(checkTiles(batch, schedule->head_groups)))
      return signalPassFailure();
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    buildPrograms(builder, batch, work, *schedule);
    eraseScheduled(batch);
  }

  /// Returns head groups and remote stages: those of the options, or the ones
  /// that the solver chooses.
  FailureOr<solver::Schedule> chooseSchedule(cp::BatchOp batch,
                                             const BatchWork &work) {
    solver::Schedule schedule;
    if (headGroups == 0 || stages == 0) {
      const absl::StatusOr<solver::Schedule> &chosen = work.analysis.schedule();
      if (!chosen.ok())
        return batch.emitOpError() << std::string(chosen.status().message());
      schedule = *chosen;
    }
    if (headGroups > 0)
      schedule.head_groups = headGroups;
    if (stages > 0)
      schedule.row_stages = stages;
    if (batch.getHeads().getKv() % schedule.head_groups != 0)
      return batch.emitOpError() << "head-groups: " << batch.getHeads().getKv()
                                 << " key/value heads do not make "
                                 << schedule.head_groups << " equal groups";
    if (batch.getBody().getOps<cp::TransferOp>().empty())
      schedule.row_stages = 0;
    return schedule;
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

  /// Groups of heads divide all heads: tiles of some heads allow one group
  /// only.
  LogicalResult checkTiles(cp::BatchOp batch, int64_t groups) {
    for (auto tiles : batch.getBody().getOps<cp::TilesOp>())
      if (groups > 1 &&
          (tiles.getHeadBegin() != 0 ||
           tiles.getHeadEnd() != uint64_t(batch.getHeads().getQ())))
        return tiles.emitOpError()
               << "C21: head groups divide tiles of all "
               << batch.getHeads().getQ() << " query heads, found ["
               << tiles.getHeadBegin() << ", " << tiles.getHeadEnd() << ")";
    return success();
  }

  /// Builds the program of each rank; each stage brings some of the rows, with
  /// the heads of one group.
  void buildPrograms(OpBuilder &builder, cp::BatchOp batch,
                     const BatchWork &work, const solver::Schedule &schedule) {
    int64_t numStages = schedule.row_stages;
    std::vector<std::vector<double>> paces = solver::PaceForward(
        work.analysis.loads(), schedule.head_groups, numStages);
    RowStages rowStages(work.analysis, receivedRows(batch, work.analysis),
                        numStages);
    for (size_t rank = 0; rank < work.ranks.size(); ++rank) {
      SmallVector<StagedRange> cut = rowStages.cut(rank);
      StageTiles tiles = splitTiles(work, rank, readRows(work, cut), schedule);
      SmallVector<SmallVector<StagedRange>> ofStage(numStages);
      for (const StagedRange &range : cut)
        ofStage[range.stage - 1].push_back(range);
      OpBuilder body =
          startProgram(builder, batch, work, rank, schedule.head_groups);
      LocalTiles local(tiles[0], work.analysis.problem(), LocalTiles::kForward);
      for (int64_t stage = 1; stage <= numStages; ++stage) {
        addLocal(body, local.next(paces[rank][stage - 1]), tiles[0]);
        addStage(body, work, stage, ofStage[stage - 1],
                 batch.getHeads().getKv() / schedule.head_groups, tiles);
      }
      addLocal(body, local.rest(), tiles[0]);
    }
  }

  /// Returns received rows as tiles read them. A relay may bring the middle of
  /// what a tile reads: to tiles all rows of a stage that touch are one range.
  static SmallVector<StagedRange> readRows(const BatchWork &work,
                                           ArrayRef<StagedRange> received) {
    return work.relayed ? joinRanges(received)
                        : SmallVector<StagedRange>(received);
  }

  /// Adds a program; returns where its stages go.
  static OpBuilder startProgram(OpBuilder &builder, cp::BatchOp batch,
                                const BatchWork &work, int64_t rank,
                                int64_t headGroups) {
    auto program = cp::ProgramOp::create(
        builder, batch.getLoc(), rank, work.ranks[rank].layout, headGroups,
        /*workspace_bytes=*/IntegerAttr(),
        /*backward_workspace_bytes=*/IntegerAttr(),
        /*saved_bytes=*/IntegerAttr());
    return OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());
  }

  /// Adds local tiles, if there are any, or if the program has no op yet: it
  /// begins with stage 0.
  static void addLocal(OpBuilder &body, LocalTiles::Range range,
                       ArrayRef<cp::StageTile> tiles) {
    if (range.empty() && !body.getBlock()->empty())
      return;
    cp::AttendOp::create(body, body.getBlock()->getParentOp()->getLoc(),
                         /*stage=*/0,
                         tiles.slice(range.begin, range.end - range.begin));
  }

  static void addStage(OpBuilder &body, const BatchWork &work, int64_t stage,
                       ArrayRef<StagedRange> received, int64_t groupHeads,
                       const StageTiles &tiles) {
    SmallVector<cp::ReceivedRange> direct, relayed;
    for (const StagedRange &range : received)
      (range.relay == cp::kNoRelay ? direct : relayed).push_back(range);
    Location loc = body.getBlock()->getParentOp()->getLoc();
    cp::ExchangeOp::create(body, loc, stage, /*relayed=*/false, cp::Tensor::kv,
                           /*head_begin=*/0, groupHeads, direct);
    if (work.relayed)
      cp::ExchangeOp::create(body, loc, stage, /*relayed=*/true, cp::Tensor::kv,
                             /*head_begin=*/0, groupHeads, relayed);
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

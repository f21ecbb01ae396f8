// cp-schedule-stages: one program per rank, local tiles first, then what each
// exchange brings. The number of exchanges comes from the cost model and is the
// same for all ranks.

#include "compiler/BatchProblem.h"
#include "compiler/OwnedRanges.h"
#include "compiler/Passes.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/stages.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_SCHEDULESTAGES
#include "compiler/Passes.h.inc"

namespace {

/// Cuts between stages fall on multiples of this where they can, so that
/// kernels see whole blocks.
constexpr int64_t kCutAlignment = 128;

/// A tile of cp.attend on its rank, documents by number.
struct Tile {
  int64_t document, queryBegin, queryEnd, keyBegin, keyEnd, headBegin, headEnd;
};

/// Rows that a rank receives. [freshBegin, end) are those that no earlier range
/// brings; without cp-coalesce-transfers ranges may overlap, and a tile must
/// read a key once.
struct Received {
  int64_t document, begin, end, freshBegin, via;
  int64_t stage = 1;
};

/// The first token of a stage: document and position.
using Cut = std::pair<int64_t, int64_t>;

/// What one rank owns, computes and receives, each in order of document and
/// position.
struct RankWork {
  SmallVector<int64_t> layout;
  SmallVector<Tile> tiles;
  SmallVector<Received> received;
};

/// The numbers of cp.compute, by stage.
using StageTiles = SmallVector<SmallVector<int64_t>>;

/// Everything the pass reads from the batch.
struct BatchWork {
  SmallVector<OwnedRanges> owned; // by document
  std::vector<RankWork> ranks;
  bool relayed = false; // some rank forwards rows
};

/// Marks what overlaps with earlier ranges of the same document.
void markFresh(MutableArrayRef<Received> received) {
  llvm::sort(received, [](const Received &a, const Received &b) {
    return std::tie(a.document, a.begin, a.end) <
           std::tie(b.document, b.begin, b.end);
  });
  int64_t document = -1, coveredEnd = 0;
  for (Received &range : received) {
    if (range.document != document) {
      document = range.document;
      coveredEnd = 0;
    }
    range.freshBegin = std::min(std::max(range.begin, coveredEnd), range.end);
    coveredEnd = std::max(coveredEnd, range.end);
  }
}

BatchWork collectWork(cp::BatchOp batch) {
  BatchWork work;
  work.ranks.resize(batch.getRanks());
  llvm::DenseMap<Operation *, int64_t> numbers = documentNumbers(batch);
  for (auto shard : batch.getBody().getOps<cp::ShardOp>()) {
    int64_t document = numbers.lookup(shard.getDocumentOp());
    work.owned.emplace_back(shard);
    for (auto [i, owner] : llvm::enumerate(shard.getOwners()))
      work.ranks[owner].layout.append(
          {document, shard.getBounds()[i], shard.getBounds()[i + 1]});
  }
  for (auto attend : batch.getBody().getOps<cp::AttendOp>()) {
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
      work.ranks[r[i + 2]].received.push_back(
          {document, r[i], r[i + 1], r[i], r[i + 3]});
      work.relayed |= r[i + 3] != cp::kNoRelay;
    }
  }
  for (RankWork &rank : work.ranks) {
    llvm::stable_sort(rank.tiles, [](const Tile &a, const Tile &b) {
      return a.document < b.document;
    });
    markFresh(rank.received);
  }
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

/// Time of one block of queries before its first key, all heads: what a further
/// stage costs.
double blockPrologueUs(const solver::Problem &problem) {
  const solver::TileTable &table = problem.cluster.tiles;
  double slope = (table.forward_us[1] - table.forward_us[0]) /
                 (table.columns[1] - table.columns[0]);
  return std::max(0.0, table.forward_us[0] - slope * table.columns[0]) *
         problem.heads.query * problem.heads.dim / 128;
}

/// The cost model's view of one rank's program.
solver::StageLoad stageLoad(const solver::Problem &problem,
                            const BatchWork &work, int64_t rank,
                            const solver::RankCost &cost) {
  solver::StageLoad load;
  for (const Tile &tile : work.ranks[rank].tiles) {
    const solver::Document &document = problem.documents[tile.document];
    int64_t queries = tile.queryEnd - tile.queryBegin;
    int64_t remoteKeys =
        tile.keyEnd - tile.keyBegin -
        countLocalKeys(tile, work.owned[tile.document].of(rank));
    double pairs = solver::CountPairs(document, tile.queryBegin, tile.queryEnd);
    double remote = std::min(1.0, double(queries) * remoteKeys / pairs);
    double us =
        solver::SegmentTime(problem, document, tile.queryBegin, tile.queryEnd)
            .forward_us;
    load.remote_us += remote * us;
    load.local_us += (1 - remote) * us;
    if (remoteKeys > 0)
      load.merge_us +=
          blockPrologueUs(problem) *
          llvm::divideCeil(queries, problem.cluster.tiles.block_rows);
  }
  bool oneNode = problem.ranks <= problem.cluster.ranks_per_node;
  load.latency_us = (oneNode ? problem.cluster.intra_node.latency_us
                             : problem.cluster.inter_node.latency_us) *
                    cost.peers / 2;
  load.transfer_us = std::max(0.0, cost.transfer_forward_us - load.latency_us);
  return load;
}

/// The number of remote stages, 0 where nothing moves.
int64_t chooseStages(const solver::Problem &problem,
                     const solver::Placement &placement,
                     const BatchWork &work) {
  if (llvm::all_of(work.ranks,
                   [](const RankWork &rank) { return rank.received.empty(); }))
    return 0;
  solver::PlacementCost cost = solver::Evaluate(problem, placement);
  std::vector<solver::StageLoad> loads;
  for (int64_t rank = 0; rank < problem.ranks; ++rank)
    loads.push_back(stageLoad(problem, work, rank, cost.ranks[rank]));
  return solver::ChooseStages(loads);
}

/// Where to end a stage inside a range that crosses its boundary.
int64_t alignCut(int64_t begin, int64_t cut) {
  int64_t aligned = cut / kCutAlignment * kCutAlignment;
  return aligned > begin ? aligned : cut;
}

/// Where stages begin that deal the received rows to `stages` stages of about
/// equally many.
SmallVector<Cut> cutPoints(ArrayRef<Received> received, int64_t stages) {
  int64_t total = 0, rows = 0;
  for (const Received &range : received)
    total += range.end - range.begin;
  SmallVector<Cut> cuts;
  for (const Received &range : received) {
    for (int64_t begin = range.begin; begin < range.end;) {
      bool mayCut = int64_t(cuts.size()) + 1 < stages;
      int64_t wanted = llvm::divideCeil(total * (cuts.size() + 1), stages);
      int64_t end = range.end;
      if (wanted - rows < end - begin && mayCut)
        end = alignCut(begin, begin + wanted - rows);
      rows += end - begin;
      begin = end;
      if ((end < range.end || rows >= wanted) && mayCut)
        cuts.push_back({range.document, end});
    }
  }
  llvm::sort(cuts); // ranges that overlap may have put them out of order
  return cuts;
}

/// Cuts received rows where stages begin.
SmallVector<Received> cutIntoStages(ArrayRef<Received> received,
                                    ArrayRef<Cut> cuts) {
  SmallVector<Received> cut;
  for (Received rest : received) {
    while (rest.begin < rest.end) {
      const Cut *next = llvm::upper_bound(cuts, Cut(rest.document, rest.begin));
      Received head = rest;
      if (next != cuts.end() && *next < Cut(rest.document, rest.end))
        head.end = next->second;
      head.stage = next - cuts.begin() + 1;
      head.freshBegin = std::clamp(rest.freshBegin, head.begin, head.end);
      cut.push_back(head);
      rest.begin = head.end;
      rest.freshBegin = std::max(rest.freshBegin, rest.begin);
    }
  }
  return cut;
}

/// Joins ranges of one stage that touch or overlap, whoever sends them; they
/// are in order of document and position.
SmallVector<Received> joinRanges(ArrayRef<Received> received) {
  SmallVector<Received> joined;
  for (const Received &range : received)
    if (!joined.empty() && joined.back().document == range.document &&
        joined.back().stage == range.stage && range.begin <= joined.back().end)
      joined.back().end = std::max(joined.back().end, range.end);
    else
      joined.push_back(range);
  return joined;
}

/// What any of these ranks receives, joined.
SmallVector<Received> unionOf(ArrayRef<RankWork> ranks) {
  SmallVector<Received> all;
  for (const RankWork &rank : ranks) {
    SmallVector<Received> merged;
    merged.reserve(all.size() + rank.received.size());
    std::merge(
        all.begin(), all.end(), rank.received.begin(), rank.received.end(),
        std::back_inserter(merged), [](const Received &a, const Received &b) {
          return std::tie(a.document, a.begin) < std::tie(b.document, b.begin);
        });
    all = joinRanges(merged);
  }
  return all;
}

/// Where the stages of each rank begin. With relays all ranks of a node begin a
/// stage at the same token, so that what a relay forwards in a stage is what it
/// receives in it.
std::vector<SmallVector<Cut>> cutsOf(const BatchWork &work,
                                     int64_t ranksPerNode, int64_t stages) {
  std::vector<SmallVector<Cut>> cuts;
  int64_t numRanks = work.ranks.size();
  for (int64_t rank = 0; rank < numRanks; ++rank) {
    if (!work.relayed)
      cuts.push_back(cutPoints(work.ranks[rank].received, stages));
    else if (rank % ranksPerNode != 0)
      cuts.push_back(cuts.back());
    else
      cuts.push_back(cutPoints(
          unionOf(ArrayRef(work.ranks)
                      .slice(rank, std::min(ranksPerNode, numRanks - rank))),
          stages));
  }
  return cuts;
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
    FailureOr<solver::Problem> problem = problemOf(batch);
    if (failed(problem) || failed(checkTransfers(batch)))
      return signalPassFailure();
    BatchWork work = collectWork(batch);
    int64_t numStages = chooseStages(*problem, placementOf(batch), work);
    if (stages > 0 && numStages > 0)
      numStages = stages;
    std::vector<SmallVector<Cut>> cuts =
        cutsOf(work, problem->cluster.ranks_per_node, numStages);
    OpBuilder builder = OpBuilder::atBlockEnd(&batch.getBody().front());
    for (int64_t rank = 0; rank < problem->ranks; ++rank)
      buildProgram(builder, batch, work, rank,
                   cutIntoStages(work.ranks[rank].received, cuts[rank]),
                   numStages);
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

  void buildProgram(OpBuilder &builder, cp::BatchOp batch,
                    const BatchWork &work, int64_t rank,
                    const SmallVector<Received> &received, int64_t numStages) {
    // A relay may bring the middle of what a tile reads: to tiles all rows of a
    // stage that touch are one range.
    StageTiles tiles = splitTiles(
        work, rank, work.relayed ? joinRanges(received) : received, numStages);
    SmallVector<SmallVector<int64_t>> direct(numStages + 1);
    SmallVector<SmallVector<int64_t>> forwarded(numStages + 1);
    for (const Received &range : received)
      if (range.via == cp::kNoRelay)
        direct[range.stage].append({range.document, range.begin, range.end});
      else
        forwarded[range.stage].append(
            {range.document, range.begin, range.end, range.via});

    Location loc = batch.getLoc();
    int64_t heads = batch.getHeads().getKv();
    auto program =
        cp::ProgramOp::create(builder, loc, rank, work.ranks[rank].layout,
                              /*workspace_bytes=*/IntegerAttr(),
                              /*backward_workspace_bytes=*/IntegerAttr(),
                              /*saved_bytes=*/IntegerAttr());
    OpBuilder body = OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());
    cp::ComputeOp::create(body, loc, /*stage=*/0, tiles[0]);
    for (int64_t stage = 1; stage <= numStages; ++stage) {
      cp::ExchangeOp::create(body, loc, stage, cp::Tensor::kv, 0, heads,
                             direct[stage]);
      if (work.relayed)
        cp::ForwardOp::create(body, loc, stage, cp::Tensor::kv, 0, heads,
                              forwarded[stage]);
      cp::ComputeOp::create(body, loc, stage, tiles[stage]);
    }
  }

  /// What the programs say now.
  void eraseScheduled(cp::BatchOp batch) {
    for (Operation &op : llvm::make_early_inc_range(batch.getBody().front()))
      if (isa<cp::AttendOp, cp::TransferOp>(op))
        op.erase();
  }
};

} // namespace
} // namespace flashcp

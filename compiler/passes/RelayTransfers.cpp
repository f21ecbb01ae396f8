// cp-relay-transfers: a row that several ranks of a node need crosses to the
// node once; the rank that gets it forwards it to the others.
//
// A sweep over what the ranks of a node receive from outside finds stretches of
// tokens with the same receivers. Stretches are cut by owner and by stage, and
// all that the same ranks receive in one stage is shared among them evenly:
// links between nodes are what is scarce, in every stage. O(R log R) for R
// ranges.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/ReceivedRows.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/row_stage.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_RELAYTRANSFERS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Tokens that the same ranks of a node receive from other nodes.
struct Stretch {
  size_t transfer;
  int64_t node;
  int64_t begin, end;
  SmallVector<int32_t> receivers; // increasing
};

/// A rank begins to need tokens at a position, or ends.
struct Event {
  int64_t position;
  int32_t rank;
  int32_t change; // 1 or -1
};

/// Token ranges of a document that the ranks of each node own, in order; the
/// owner is the node.
using NodeRanges = SmallVector<SmallVector<cp::OwnedRange>>;

NodeRanges nodeRangesOf(cp::ShardOp shard, int64_t ranksPerNode, size_t nodes) {
  NodeRanges ranges(nodes);
  for (const cp::OwnedRange &range : shard.getOwned()) {
    int64_t node = range.owner / ranksPerNode;
    SmallVector<cp::OwnedRange> &ours = ranges[node];
    if (!ours.empty() && ours.back().end == range.begin)
      ours.back().end = range.end;
    else
      ours.push_back({range.begin, range.end, node});
  }
  return ranges;
}

/// Appends the stretches between the events of one node.
void sweep(size_t transfer, int64_t node, SmallVector<Event> &events,
           SmallVector<Stretch> &stretches) {
  llvm::sort(events, [](const Event &a, const Event &b) {
    return a.position < b.position;
  });
  llvm::SmallMapVector<int32_t, int32_t, 8> open; // ranges by rank
  size_t first = stretches.size();
  for (size_t i = 0; i < events.size();) {
    int64_t position = events[i].position;
    for (; i < events.size() && events[i].position == position; ++i)
      open[events[i].rank] += events[i].change;
    SmallVector<int32_t> receivers;
    for (auto [rank, count] : open)
      if (count > 0)
        receivers.push_back(rank);
    if (receivers.empty())
      continue; // the last position of all, or a gap
    llvm::sort(receivers);
    int64_t end = events[i].position;
    Stretch *before = stretches.size() > first ? &stretches.back() : nullptr;
    if (before && before->end == position && before->receivers == receivers)
      before->end = end;
    else
      stretches.push_back(
          {transfer, node, position, end, std::move(receivers)});
  }
}

/// Rows of one owner that a node receives from outside in one stage.
struct Part {
  const Stretch *stretch;
  int64_t stage, owner;
  int64_t document, begin, end;

  auto run() const {
    return std::tie(stretch->node, stage, stretch->receivers);
  }
  auto place() const {
    return std::tie(owner, document, begin, stretch->transfer);
  }
};

/// Appends the parts of a stretch; `ofNode` are those of its node.
void cutStretch(const Stretch &stretch, int64_t document,
                ArrayRef<StagedPart> ofNode, std::vector<Part> &parts) {
  const StagedPart *next = llvm::upper_bound(
      ofNode, std::pair(document, stretch.begin),
      [](std::pair<int64_t, int64_t> position, const StagedPart &part) {
        return position < std::pair(part.range.document, part.range.end);
      });
  for (int64_t begin = stretch.begin; begin < stretch.end; ++next) {
    int64_t end = std::min(stretch.end, next->range.end);
    parts.push_back(
        {&stretch, next->range.stage, next->owner, document, begin, end});
    begin = end;
  }
}

/// Shares the parts of one run among the receivers, which each receive a share
/// from its owners and send it on.
void shareRun(ArrayRef<Part> parts,
              MutableArrayRef<SmallVector<cp::MovedRange>> ranges) {
  ArrayRef<int32_t> receivers = parts.front().stretch->receivers;
  solver::RelayRun run{0, int(receivers.size()), int(parts.front().owner)};
  for (const Part &part : parts)
    run.rows += part.end - part.begin;
  int64_t first = 0;
  for (const Part &part : parts) {
    int64_t rows = part.end - part.begin;
    auto share = [&](const solver::RelayShare &share) {
      int32_t relay = receivers[share.receiver];
      for (int32_t receiver : receivers)
        ranges[part.stretch->transfer].push_back(
            {part.begin + share.begin, part.begin + share.end, receiver,
             receiver == relay ? cp::kNoRelay : int64_t(relay)});
    };
    solver::ForEachRelayShare(run, first, rows, share);
    first += rows;
  }
}

/// Puts parts in order, and shares each run.
void shareRuns(std::vector<Part> &parts,
               MutableArrayRef<SmallVector<cp::MovedRange>> ranges) {
  llvm::sort(parts, [](const Part &a, const Part &b) {
    return a.run() != b.run() ? a.run() < b.run() : a.place() < b.place();
  });
  for (ArrayRef<Part> rest = parts; !rest.empty();) {
    ArrayRef<Part> run = rest.take_while(
        [&](const Part &part) { return part.run() == rest.front().run(); });
    shareRun(run, ranges);
    rest = rest.drop_front(run.size());
  }
}

/// Puts ranges in order of receiver and position, and joins a range with what
/// continues it from the same side.
SmallVector<cp::MovedRange> sortAndJoin(SmallVector<cp::MovedRange> ranges) {
  llvm::sort(ranges, [](const cp::MovedRange &a, const cp::MovedRange &b) {
    return std::tie(a.receiver, a.begin, a.end, a.relay) <
           std::tie(b.receiver, b.begin, b.end, b.relay);
  });
  SmallVector<cp::MovedRange> joined;
  for (const cp::MovedRange &range : ranges)
    if (!joined.empty() && joined.back().receiver == range.receiver &&
        joined.back().relay == range.relay && joined.back().end == range.begin)
      joined.back().end = range.end;
    else
      joined.push_back(range);
  return joined;
}

struct RelayTransfersPass : impl::RelayTransfersBase<RelayTransfersPass> {
  using RelayTransfersBase::RelayTransfersBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::communicating, getArgument())))
      return signalPassFailure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()))
      return signalPassFailure();
    const solver::Problem &problem = analysis.problem();
    ranksPerNode = problem.cluster.ranks_per_node;
    if (ranksPerNode == 1 || problem.ranks <= ranksPerNode)
      return; // nobody to forward to, or nothing crosses nodes
    auto transfers = llvm::to_vector(batch.getBody().getOps<cp::TransferOp>());
    SmallVector<SmallVector<cp::MovedRange>> ranges(transfers.size());
    SmallVector<Stretch> stretches;
    for (auto [i, transfer] : llvm::enumerate(transfers))
      findStretches(i, transfer, problem.ranks, ranges[i], stretches);
    const absl::StatusOr<solver::Schedule> &schedule = analysis.schedule();
    if (!schedule.ok()) {
      batch.emitOpError() << std::string(schedule.status().message());
      return signalPassFailure();
    }
    RowStages stages(analysis, receivedRows(batch, analysis),
                     schedule->row_stages);
    std::vector<Part> parts;
    for (const Stretch &stretch : stretches)
      cutStretch(stretch,
                 analysis.numberOf(
                     transfers[stretch.transfer].getShardOp().getDocumentOp()),
                 stages.partsOf(stretch.node), parts);
    shareRuns(parts, ranges);
    for (auto [i, transfer] : llvm::enumerate(transfers))
      transfer.setRanges(sortAndJoin(std::move(ranges[i])));
    for (cp::TransferOp transfer : transfers)
      numRelayed +=
          llvm::count_if(transfer.getRanges(), [](const cp::MovedRange &range) {
            return range.relay != cp::kNoRelay;
          });
  }

  /// Splits the ranges of a transfer into those that stay as they are, for rows
  /// from the receiver's own node, and stretches of what comes from outside.
  void findStretches(size_t number, cp::TransferOp transfer, int64_t ranks,
                     SmallVector<cp::MovedRange> &kept,
                     SmallVector<Stretch> &stretches) {
    size_t nodes = llvm::divideCeil(ranks, ranksPerNode);
    NodeRanges owned = nodeRangesOf(transfer.getShardOp(), ranksPerNode, nodes);
    SmallVector<SmallVector<Event>> events(nodes);
    for (const cp::MovedRange &range : transfer.getRanges()) {
      int64_t node = range.receiver / ranksPerNode;
      if (range.relay != cp::kNoRelay)
        kept.push_back(range);
      else
        splitRange(range, owned[node], events[node], kept);
    }
    for (auto [node, ofNode] : llvm::enumerate(events))
      sweep(number, node, ofNode, stretches);
  }

  /// Keeps what the node owns, and notes where the rest begins and ends.
  static void splitRange(const cp::MovedRange &range,
                         ArrayRef<cp::OwnedRange> owned,
                         SmallVector<Event> &events,
                         SmallVector<cp::MovedRange> &kept) {
    auto addOutside = [&](int64_t begin, int64_t end) {
      if (begin >= end)
        return;
      events.push_back({begin, int32_t(range.receiver), 1});
      events.push_back({end, int32_t(range.receiver), -1});
    };
    const cp::OwnedRange *own = llvm::upper_bound(
        owned, range.begin, [](int64_t position, const cp::OwnedRange &range) {
          return position < range.end;
        });
    int64_t position = range.begin;
    for (; own != owned.end() && own->begin < range.end; ++own) {
      addOutside(position, own->begin);
      int64_t begin = std::max(position, own->begin);
      position = std::min(own->end, range.end);
      kept.push_back({begin, position, range.receiver});
    }
    addOutside(position, range.end);
  }

  int64_t ranksPerNode = 1;
};

} // namespace
} // namespace flashcp

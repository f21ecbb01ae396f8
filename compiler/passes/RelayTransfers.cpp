// cp-relay-transfers: a row that several ranks of a node need crosses to the
// node once; the rank that gets it forwards it to the others.
//
// A sweep over what the ranks of a node receive from outside finds stretches of
// tokens with the same receivers. A stretch with several is cut among those of
// them that receive the fewest rows from other nodes so far, so that they end
// with equally many: links between nodes are what is scarce. O(R log R) for R
// ranges, and at most one range for each pair of receivers of a stretch.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_RELAYTRANSFERS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Rows of a relay's share at least: more, shorter ranges would cost more in
/// copies and tables than an even load is worth.
constexpr int64_t kMinShare = 256;

/// Shares are cut at the nearest multiple of this, so that rows are copied in
/// whole blocks.
constexpr int64_t kShareMultiple = 64;
static_assert(kShareMultiple < kMinShare, "no share may become empty");

/// Tokens that the same ranks of a node receive from other nodes.
struct Stretch {
  size_t transfer;
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
void sweep(size_t transfer, SmallVector<Event> &events,
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
      stretches.push_back({transfer, position, end, std::move(receivers)});
  }
}

/// How many of the ranks, by increasing load, share `length` rows so that they
/// end with equal loads: as many as get kMinShare rows each.
size_t countShares(ArrayRef<int64_t> sortedLoads, int64_t length) {
  size_t shares = 1;
  int64_t sum = sortedLoads.front();
  for (; shares < sortedLoads.size(); ++shares) {
    // The next rank has the highest load so far, and would get the least.
    sum += sortedLoads[shares];
    int64_t level = (sum + length) / int64_t(shares + 1);
    if (level - sortedLoads[shares] < kMinShare)
      break;
  }
  return shares;
}

/// Cuts a stretch among the receivers with the least load, which each receive a
/// share from the owners and forward it; adds the shares to their loads.
void relay(const Stretch &stretch, SmallVector<int64_t> &loads,
           SmallVector<cp::MovedRange> &ranges) {
  SmallVector<int32_t> relays = stretch.receivers;
  llvm::sort(relays, [&](int32_t a, int32_t b) {
    return std::tie(loads[a], a) < std::tie(loads[b], b);
  });
  SmallVector<int64_t> sortedLoads;
  for (int32_t rank : relays)
    sortedLoads.push_back(loads[rank]);
  int64_t rest = stretch.end - stretch.begin;
  relays.truncate(countShares(sortedLoads, rest));
  for (int32_t rank : relays)
    rest += loads[rank];
  llvm::sort(relays);
  int64_t begin = stretch.begin, level = rest / int64_t(relays.size());
  for (int32_t relay : relays) {
    int64_t end = begin + level - loads[relay];
    end = (end + kShareMultiple / 2) / kShareMultiple * kShareMultiple;
    if (relay == relays.back())
      end = stretch.end;
    for (int32_t receiver : stretch.receivers)
      ranges.push_back({begin, end, receiver,
                        receiver == relay ? cp::kNoRelay : int64_t(relay)});
    loads[relay] += end - begin;
    begin = end;
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
    // What only one rank of a node needs leaves no choice: it comes first.
    SmallVector<int64_t> loads(problem.ranks);
    std::stable_partition(
        stretches.begin(), stretches.end(),
        [](const Stretch &stretch) { return stretch.receivers.size() == 1; });
    for (const Stretch &stretch : stretches)
      relay(stretch, loads, ranges[stretch.transfer]);
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
    for (SmallVector<Event> &ofNode : events)
      sweep(number, ofNode, stretches);
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

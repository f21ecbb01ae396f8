// cp-relay-transfers: a row that several ranks of a node need crosses to the
// node once; the rank that gets it forwards it to the others.
//
// A sweep over what the ranks of a node receive from outside finds stretches of
// tokens with the same receivers. A stretch with several is cut among those of
// them that receive the fewest rows from other nodes so far, so that they end
// with equally many: links between nodes are what is scarce. O(R log R) for R
// ranges, and at most one range for each pair of receivers of a stretch.

#include "compiler/analysis/BatchProblem.h"
#include "compiler/analysis/OwnedRanges.h"
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
constexpr int64_t kCutAlignment = 64;
static_assert(kCutAlignment < kMinShare, "no share may become empty");

/// One entry of a transfer.
struct Received {
  int64_t begin, end, rank, via;
};

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

/// The spans of a document that the ranks of each node own, in order.
using NodeSpans = SmallVector<SmallVector<TokenSpan>>;

NodeSpans nodeSpansOf(cp::ShardOp shard, int64_t ranksPerNode, size_t nodes) {
  NodeSpans spans(nodes);
  ArrayRef<int64_t> bounds = shard.getBounds();
  for (auto [i, owner] : llvm::enumerate(shard.getOwners())) {
    SmallVector<TokenSpan> &ours = spans[owner / ranksPerNode];
    if (!ours.empty() && ours.back().end == bounds[i])
      ours.back().end = bounds[i + 1];
    else
      ours.push_back({bounds[i], bounds[i + 1]});
  }
  return spans;
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
           SmallVector<Received> &ranges) {
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
    end = (end + kCutAlignment / 2) / kCutAlignment * kCutAlignment;
    if (relay == relays.back())
      end = stretch.end;
    for (int32_t receiver : stretch.receivers)
      ranges.push_back({begin, end, receiver,
                        receiver == relay ? cp::kNoRelay : int64_t(relay)});
    loads[relay] += end - begin;
    begin = end;
  }
}

/// By receiver and position; what continues a range of the same kind is one
/// with it.
SmallVector<int64_t> joinRanges(SmallVector<Received> &ranges) {
  llvm::sort(ranges, [](const Received &a, const Received &b) {
    return std::tie(a.rank, a.begin, a.end, a.via) <
           std::tie(b.rank, b.begin, b.end, b.via);
  });
  SmallVector<int64_t> numbers;
  for (size_t i = 0; i < ranges.size();) {
    Received joined = ranges[i++];
    for (; i < ranges.size() && ranges[i].rank == joined.rank &&
           ranges[i].via == joined.via && ranges[i].begin == joined.end;
         ++i)
      joined.end = ranges[i].end;
    numbers.append({joined.begin, joined.end, joined.rank, joined.via});
  }
  return numbers;
}

struct RelayTransfersPass : impl::RelayTransfersBase<RelayTransfersPass> {
  using RelayTransfersBase::RelayTransfersBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::communicating, getArgument())))
      return signalPassFailure();
    FailureOr<solver::Problem> problem = problemOf(batch);
    if (failed(problem))
      return signalPassFailure();
    ranksPerNode = problem->cluster.ranks_per_node;
    if (ranksPerNode == 1 || problem->ranks <= ranksPerNode)
      return; // nobody to forward to, or nothing crosses nodes
    auto transfers = llvm::to_vector(batch.getBody().getOps<cp::TransferOp>());
    SmallVector<SmallVector<Received>> ranges(transfers.size());
    SmallVector<Stretch> stretches;
    for (auto [i, transfer] : llvm::enumerate(transfers))
      findStretches(i, transfer, problem->ranks, ranges[i], stretches);
    // What only one rank of a node needs leaves no choice: it comes first.
    SmallVector<int64_t> loads(problem->ranks);
    std::stable_partition(
        stretches.begin(), stretches.end(),
        [](const Stretch &stretch) { return stretch.receivers.size() == 1; });
    for (const Stretch &stretch : stretches)
      relay(stretch, loads, ranges[stretch.transfer]);
    for (auto [i, transfer] : llvm::enumerate(transfers))
      transfer.setRanges(joinRanges(ranges[i]));
    for (ArrayRef<Received> list : ranges)
      numRelayed += llvm::count_if(list, [](const Received &range) {
        return range.via != cp::kNoRelay;
      });
  }

  /// Splits the ranges of a transfer into those that stay as they are, for rows
  /// from the receiver's own node, and stretches of what comes from outside.
  void findStretches(size_t number, cp::TransferOp transfer, int64_t ranks,
                     SmallVector<Received> &kept,
                     SmallVector<Stretch> &stretches) {
    size_t nodes = llvm::divideCeil(ranks, ranksPerNode);
    NodeSpans spans = nodeSpansOf(transfer.getShardOp(), ranksPerNode, nodes);
    SmallVector<SmallVector<Event>> events(nodes);
    ArrayRef<int64_t> r = transfer.getRanges();
    for (size_t i = 0; i < r.size(); i += cp::kReceivedSize) {
      Received range = {r[i], r[i + 1], r[i + 2], r[i + 3]};
      if (range.via != cp::kNoRelay) {
        kept.push_back(range);
        continue;
      }
      splitRange(range, spans[range.rank / ranksPerNode],
                 events[range.rank / ranksPerNode], kept);
    }
    for (SmallVector<Event> &ofNode : events)
      sweep(number, ofNode, stretches);
  }

  /// Keeps what the node owns, and notes where the rest begins and ends.
  static void splitRange(Received range, ArrayRef<TokenSpan> owned,
                         SmallVector<Event> &events,
                         SmallVector<Received> &kept) {
    auto addOutside = [&](int64_t begin, int64_t end) {
      if (begin >= end)
        return;
      events.push_back({begin, int32_t(range.rank), 1});
      events.push_back({end, int32_t(range.rank), -1});
    };
    const TokenSpan *span = llvm::upper_bound(
        owned, range.begin, [](int64_t p, TokenSpan s) { return p < s.end; });
    int64_t position = range.begin;
    for (; span != owned.end() && span->begin < range.end; ++span) {
      addOutside(position, span->begin);
      int64_t begin = std::max(position, span->begin);
      position = std::min(span->end, range.end);
      kept.push_back({begin, position, range.rank, cp::kNoRelay});
    }
    addOutside(position, range.end);
  }

  int64_t ranksPerNode = 1;
};

} // namespace
} // namespace flashcp

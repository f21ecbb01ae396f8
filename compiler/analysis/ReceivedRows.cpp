// A node cuts what any of its ranks receives; each rank's rows are cut where
// its node cuts.

#include "compiler/analysis/ReceivedRows.h"

#include "compiler/solver/row_stage.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

void markFresh(MutableArrayRef<StagedRange> received) {
  llvm::sort(received, [](const StagedRange &a, const StagedRange &b) {
    return std::tie(a.document, a.begin, a.end) <
           std::tie(b.document, b.begin, b.end);
  });
  int64_t document = -1, coveredEnd = 0;
  for (StagedRange &range : received) {
    if (range.document != document) {
      document = range.document;
      coveredEnd = 0;
    }
    range.freshBegin = std::min(std::max(range.begin, coveredEnd), range.end);
    coveredEnd = std::max(coveredEnd, range.end);
  }
}

SmallVector<StagedRange> joinRanges(ArrayRef<StagedRange> received) {
  SmallVector<StagedRange> joined;
  for (const StagedRange &range : received)
    if (!joined.empty() && joined.back().document == range.document &&
        joined.back().stage == range.stage && range.begin <= joined.back().end)
      joined.back().end = std::max(joined.back().end, range.end);
    else
      joined.push_back(range);
  return joined;
}

/// Returns what any of these ranks receives, joined.
static SmallVector<StagedRange>
unionOf(ArrayRef<SmallVector<StagedRange>> ranks) {
  SmallVector<StagedRange> all;
  for (ArrayRef<StagedRange> received : ranks) {
    SmallVector<StagedRange> merged;
    merged.reserve(all.size() + received.size());
    std::merge(all.begin(), all.end(), received.begin(), received.end(),
               std::back_inserter(merged),
               [](const StagedRange &a, const StagedRange &b) {
                 return std::tie(a.document, a.begin) <
                        std::tie(b.document, b.begin);
               });
    all = joinRanges(merged);
  }
  return all;
}

std::vector<SmallVector<StagedRange>>
receivedRows(cp::BatchOp batch, const BatchAnalysis &analysis) {
  std::vector<SmallVector<StagedRange>> received(batch.getRanks());
  for (auto op : batch.getBody().getOps<cp::TransferOp>()) {
    int64_t document = analysis.numberOf(op.getShardOp().getDocumentOp());
    for (const cp::MovedRange &range : op.getRanges())
      received[range.receiver].push_back(
          {{document, range.begin, range.end, range.relay, op.getSaved()}});
  }
  for (SmallVector<StagedRange> &ofRank : received)
    markFresh(ofRank);
  return received;
}

namespace {

/// Returns received ranges cut where owners change.
std::vector<StagedPart> cutByOwner(const BatchAnalysis &analysis,
                                   ArrayRef<StagedRange> received) {
  std::vector<StagedPart> parts;
  for (const StagedRange &range : received) {
    cp::ShardOp shard = analysis.shards()[range.document];
    const cp::OwnedRange *from =
        llvm::upper_bound(shard.getOwned(), range.begin,
                          [](int64_t position, const cp::OwnedRange &owned) {
                            return position < owned.end;
                          });
    for (int64_t begin = range.begin; begin < range.end; ++from) {
      StagedPart &part = parts.emplace_back(StagedPart{range, from->owner});
      part.range.begin = begin;
      part.range.end = begin = std::min(range.end, from->end);
    }
  }
  return parts;
}

/// Cuts the rows of each owner into stages; `receiver` is a rank of the node.
std::vector<StagedPart> cutByStage(ArrayRef<StagedPart> parts, int64_t numRanks,
                                   const solver::Rotation &rotation,
                                   int64_t receiver, int64_t numStages) {
  std::vector<int64_t> rowsOf(numRanks); // each owner
  for (const StagedPart &part : parts)
    rowsOf[part.owner] += part.range.size();
  std::vector<solver::OwnerRows> owners =
      solver::RotateOwners(rotation, receiver, rowsOf);
  llvm::DenseMap<int64_t, int64_t> rowsBefore; // by owner
  std::vector<StagedPart> staged;
  for (StagedPart rest : parts) {
    const solver::OwnerRows &rows = owners[rest.owner];
    int64_t &row = rowsBefore[rest.owner];
    while (rest.range.begin < rest.range.end) {
      int stage = solver::RowStage(rows, row, numStages);
      int64_t last = solver::FirstRowOfStage(rows, stage + 1, numStages);
      StagedPart &head = staged.emplace_back(rest);
      head.range.stage = stage + 1;
      head.range.end = std::min(rest.range.end, rest.range.begin + last - row);
      row += head.range.size();
      rest.range.begin = head.range.end;
    }
  }
  return staged;
}

} // namespace

RowStages::RowStages(const BatchAnalysis &analysis,
                     std::vector<SmallVector<StagedRange>> ofRanks,
                     int64_t numStages)
    : received(std::move(ofRanks)),
      ranksPerNode(analysis.problem().cluster.ranks_per_node) {
  solver::Rotation rotation(received.size(), ranksPerNode);
  for (size_t rank = 0; rank < received.size(); rank += ranksPerNode) {
    size_t ranks = std::min<size_t>(ranksPerNode, received.size() - rank);
    parts.push_back(cutByStage(
        cutByOwner(analysis, unionOf(ArrayRef(received).slice(rank, ranks))),
        received.size(), rotation, rank, numStages));
  }
}

SmallVector<StagedRange> RowStages::cut(int64_t rank) const {
  ArrayRef<StagedPart> stages = parts[rank / ranksPerNode];
  SmallVector<StagedRange> cut;
  for (const StagedRange &range : received[rank]) {
    const StagedPart *next = llvm::upper_bound(
        stages, range, [](const StagedRange &range, const StagedPart &part) {
          return std::tie(range.document, range.begin) <
                 std::tie(part.range.document, part.range.end);
        });
    size_t first = cut.size();
    for (int64_t begin = range.begin; begin < range.end; ++next) {
      int64_t end = std::min(range.end, next->range.end);
      if (cut.size() == first || cut.back().stage != next->range.stage) {
        cut.push_back(range);
        cut.back().begin = begin;
        cut.back().stage = next->range.stage;
      }
      StagedRange &last = cut.back();
      last.end = begin = end;
      last.freshBegin = std::clamp(range.freshBegin, last.begin, last.end);
    }
  }
  return cut;
}

} // namespace flashcp

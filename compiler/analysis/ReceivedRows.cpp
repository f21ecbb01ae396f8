// Stages have about equally many rows, and whole kernel blocks if ranges are
// long enough.

#include "compiler/analysis/ReceivedRows.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace flashcp {

/// Cuts between stages fall on multiples of this where they can, so that
/// kernels see whole blocks.
static constexpr int64_t kCutAlignment = 128;

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

/// Returns where to end a stage inside a range that crosses its boundary.
static int64_t alignCut(int64_t begin, int64_t cut) {
  int64_t aligned = cut / kCutAlignment * kCutAlignment;
  return aligned > begin ? aligned : cut;
}

/// Returns where stages begin that share the received rows about equally.
static SmallVector<Cut> cutPoints(ArrayRef<StagedRange> received,
                                  int64_t stages) {
  int64_t total = 0, rows = 0;
  for (const StagedRange &range : received)
    total += range.end - range.begin;
  SmallVector<Cut> cuts;
  for (const StagedRange &range : received) {
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

SmallVector<StagedRange> cutIntoStages(ArrayRef<StagedRange> received,
                                       ArrayRef<Cut> cuts) {
  SmallVector<StagedRange> cut;
  for (StagedRange rest : received) {
    while (rest.begin < rest.end) {
      const Cut *next = llvm::upper_bound(cuts, Cut(rest.document, rest.begin));
      StagedRange head = rest;
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

std::vector<SmallVector<Cut>>
cutsOf(ArrayRef<SmallVector<StagedRange>> received, bool relayed,
       int64_t ranksPerNode, int64_t stages) {
  std::vector<SmallVector<Cut>> cuts;
  int64_t numRanks = received.size();
  for (int64_t rank = 0; rank < numRanks; ++rank) {
    if (!relayed)
      cuts.push_back(cutPoints(received[rank], stages));
    else if (rank % ranksPerNode != 0)
      cuts.push_back(cuts.back());
    else
      cuts.push_back(
          cutPoints(unionOf(received.slice(
                        rank, std::min(ranksPerNode, numRanks - rank))),
                    stages));
  }
  return cuts;
}

} // namespace flashcp

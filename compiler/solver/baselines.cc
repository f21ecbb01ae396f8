// Decides placements by the fixed rules of other systems: contiguous, zigzag, per-doc, whole-doc.

#include <algorithm>

#include "compiler/solver/mix.h"
#include "compiler/solver/segments.h"
#include "compiler/solver/strategies.h"

namespace flashcp::solver {
namespace {

// Cuts the pack (all documents, one after the other) into chunks: chunk i ends at token ends[i] of
// the pack and belongs to owners[i].
Placement CutPack(const Problem& problem, const std::vector<int64_t>& ends,
                  const std::vector<int>& owners) {
  Placement placement;
  size_t chunk = 0;
  int64_t start = 0;  // of the document, in the pack
  for (const Document& document : problem.documents) {
    std::vector<Segment>& segments = placement.documents.emplace_back();
    for (int64_t begin = 0; begin < document.length;) {
      int64_t end = std::min(document.length, ends[chunk] - start);
      AppendSegment(begin, end, owners[chunk], segments);
      begin = std::max(begin, end);
      if (begin < document.length) ++chunk;
    }
    start += document.length;
  }
  return placement;
}

}  // namespace

Placement PlaceContiguous(const Problem& problem) {
  int64_t total = problem.TotalTokens();
  std::vector<int64_t> ends;
  std::vector<int> owners;
  for (int rank = 0; rank < problem.ranks; ++rank) {
    ends.push_back(total * (rank + 1) / problem.ranks);
    owners.push_back(rank);
  }
  return CutPack(problem, ends, owners);
}

Placement PlaceZigzag(const Problem& problem) {
  // A rank's tokens are cut in halves: its two chunks, and so all chunks, differ by one at most.
  int ranks = problem.ranks;
  int64_t total = problem.TotalTokens();
  std::vector<int64_t> ends;
  std::vector<int> owners;
  int64_t end = 0;
  for (int i = 0; i < 2 * ranks; ++i) {
    bool early = i < ranks;
    int rank = early ? i : 2 * ranks - 1 - i;
    int64_t tokens = total * (rank + 1) / ranks - total * rank / ranks;
    end += early ? (tokens + 1) / 2 : tokens / 2;
    ends.push_back(end);
    owners.push_back(rank);
  }
  return CutPack(problem, ends, owners);
}

Placement PlacePerDoc(const Problem& problem) {
  DocumentTable table(problem);
  MixRule rule;
  rule.shard_above = 0;
  return LayOutMix(problem, table, DecideMix(problem, table, rule));
}

Placement PlaceWholeDoc(const Problem& problem) {
  DocumentTable table(problem);
  return LayOutMix(problem, table, DecideMix(problem, table, MixRule()));
}

}  // namespace flashcp::solver

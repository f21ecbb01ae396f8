// Keeps segments of a document in order, neighbours on one rank joined.

#include "compiler/solver/segments.h"

#include <algorithm>

namespace flashcp::solver {

void AppendSegment(int64_t begin, int64_t end, int rank, std::vector<Segment>& segments) {
  if (begin >= end) return;
  if (!segments.empty() && segments.back().rank == rank) {
    segments.back().end = end;
  } else {
    segments.push_back({begin, end, rank});
  }
}

void JoinSegments(std::vector<Segment>& segments) {
  std::sort(segments.begin(), segments.end(),
            [](const Segment& a, const Segment& b) { return a.begin < b.begin; });
  size_t kept = 0;
  for (const Segment& segment : segments) {
    if (kept > 0 && segments[kept - 1].rank == segment.rank) {
      segments[kept - 1].end = segment.end;
    } else {
      segments[kept++] = segment;
    }
  }
  segments.resize(kept);
}

}  // namespace flashcp::solver

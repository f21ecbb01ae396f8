// Decides which rows move in a toy plan, and through whom.

#include "tests/testing/toy_traffic.h"

#include <algorithm>

namespace flashcp::testing {
namespace {

std::vector<ToySegment> SegmentsOf(const ToyDocument& document, int rank) {
  std::vector<ToySegment> segments;
  for (const ToySegment& segment : document.segments) {
    if (segment.rank == rank && segment.begin < segment.end) segments.push_back(segment);
  }
  return segments;
}

// Whether a query of these segments, all of one document, sees the key at `position`.
bool IsSeen(const ToyDocument& document, const std::vector<ToySegment>& queries,
            uint32_t position) {
  for (const ToySegment& segment : queries) {
    auto [first, last] = KeysSeen(document, segment.begin, segment.end);
    if (first <= position && position < last) return true;
  }
  return false;
}

// Whether `rank` receives a token that it does not own.
bool IsReceived(const ToyProblem& problem, uint32_t document, uint32_t position, int rank) {
  const ToyDocument& d = problem.documents[document];
  return problem.exchange == fbs::Exchange::all_gather || IsSeen(d, SegmentsOf(d, rank), position);
}

// The rank that sends a token of `owner` to `rank`: a relay takes turns every two positions.
int SenderOf(const ToyProblem& problem, uint32_t document, uint32_t position, int owner, int rank) {
  const int node = rank / problem.ranks_per_node;
  if (problem.ranks_per_node == 1 || owner / problem.ranks_per_node == node) return owner;
  std::vector<int> receivers;
  for (int r = node * problem.ranks_per_node; r < problem.ranks; ++r) {
    if (r / problem.ranks_per_node != node) break;
    if (IsReceived(problem, document, position, r)) receivers.push_back(r);
  }
  int relay = receivers[position / 2 % receivers.size()];
  return relay == rank ? owner : relay;
}

}  // namespace

std::pair<uint32_t, uint32_t> KeysSeen(const ToyDocument& document, uint32_t begin, uint32_t end) {
  const model::Band& band = document.mask.band();
  const int64_t first = std::max<int64_t>(0, int64_t{begin} + band.lower);
  return {static_cast<uint32_t>(first),
          static_cast<uint32_t>(std::min<int64_t>(document.length, int64_t{end} + band.upper))};
}

std::vector<ToyRun> LayoutOf(const ToyProblem& problem, int rank) {
  std::vector<ToyRun> layout;
  uint32_t row = 0;
  for (uint32_t d = 0; d < problem.documents.size(); ++d) {
    for (const ToySegment& segment : SegmentsOf(problem.documents[d], rank)) {
      layout.push_back({d, segment.begin, segment.end, row});
      row += segment.end - segment.begin;
    }
  }
  return layout;
}

void AddToken(uint32_t document, uint32_t position, uint32_t row, std::vector<ToyRun>* runs) {
  bool continues = !runs->empty() && runs->back().document == document &&
                   runs->back().end == position && runs->back().row + runs->back().count() == row;
  if (continues) {
    ++runs->back().end;
  } else {
    runs->push_back({document, position, position + 1, row});
  }
}

std::vector<Arrived> TokensReceived(const ToyProblem& problem, int rank, int stage, bool saved) {
  std::vector<Arrived> tokens;
  for (int owner = 0; owner < problem.ranks; ++owner) {
    if (owner == rank) continue;
    for (const ToyRun& keys : LayoutOf(problem, owner)) {
      if (1 + (keys.document + owner) % problem.remote_stages != stage) continue;
      if (problem.documents[keys.document].saved != saved) continue;
      for (uint32_t position = keys.begin; position < keys.end; ++position) {
        if (!IsReceived(problem, keys.document, position, rank)) continue;
        int sender = SenderOf(problem, keys.document, position, owner, rank);
        tokens.push_back(
            {sender, owner, keys.document, position, keys.row + (position - keys.begin)});
      }
    }
  }
  return tokens;
}

std::vector<ToyRun> RemoteRowsOf(const ToyProblem& problem, int rank, int stage, bool saved) {
  std::vector<Arrived> tokens = TokensReceived(problem, rank, stage, saved);
  std::sort(tokens.begin(), tokens.end(), [](const Arrived& a, const Arrived& b) {
    return std::pair(a.document, a.position) < std::pair(b.document, b.position);
  });
  std::vector<ToyRun> runs;
  for (uint32_t row = 0; row < tokens.size(); ++row) {
    AddToken(tokens[row].document, tokens[row].position, row, &runs);
  }
  return runs;
}

uint32_t FindRow(const std::vector<ToyRun>& rows, uint32_t document, uint32_t position) {
  for (const ToyRun& run : rows) {
    if (run.document == document && run.begin <= position && position < run.end) {
      return run.row + (position - run.begin);
    }
  }
  return 0;
}

uint32_t CountRows(const std::vector<ToyRun>& rows) {
  return rows.empty() ? 0 : rows.back().row + rows.back().count();
}

}  // namespace flashcp::testing

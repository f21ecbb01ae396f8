// Cuts pieces, and estimates the work and the rows of their parts.

#include "compiler/solver/piece.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

// A document with less work than this share of a node is not spread over nodes for its work.
constexpr double kLeastNodes = 0.125;

}  // namespace

bool Piece::Append(int64_t begin, int64_t end) {
  if (begin >= end) return true;
  if (count > 0 && intervals[count - 1].end == begin) {
    intervals[count - 1].end = end;
  } else {
    if (count == kMostIntervals) return false;
    intervals[count++] = {begin, end};
  }
  tokens += end - begin;
  return true;
}

PieceModel::PieceModel(const Problem& problem)
    : problem_(problem), timer_(problem), curve_(problem, 1, 1) {
  double work_us = 0;
  for (const Document& document : problem.documents) {
    work_us += curve_.Rows(document, 0, document.length);
  }
  const ComputeTime merge = MergeTime(problem);
  merge_row_us_ = (merge.forward_us + merge.backward_us) / problem.cluster.tiles.block_rows;
  const int node = std::min(problem.ranks, problem.cluster.ranks_per_node);
  node_us_ = std::max(1e-9, work_us * node / problem.ranks);
}

void PieceModel::Weigh(Piece& piece) const {
  piece.work_us = 0;
  const model::Band& band = document(piece).mask.band();
  const bool sees_itself = band.lower <= 0 && band.upper >= 0;
  piece.received = sees_itself ? -piece.tokens : -RowsNeeded(piece, piece);
  int64_t counted = 0;  // positions before it are
  for (int i = 0; i < piece.count; ++i) {
    const Piece::Interval& rows = piece.intervals[i];
    const ComputeTime time = timer_.Time(document(piece), rows.begin, rows.end);
    piece.work_us += time.forward_us + time.backward_us;
    const TokenRange keys = KeysNeeded(document(piece), rows.begin, rows.end);
    piece.received += std::max<int64_t>(0, keys.end - std::max(keys.begin, counted));
    counted = std::max(counted, keys.end);
  }
}

double PieceModel::Prefix(const Piece& piece, int64_t tokens) const {
  double work_us = 0;
  for (int i = 0; i < piece.count && tokens > 0; ++i) {
    int64_t begin = piece.intervals[i].begin;
    int64_t taken = std::min(tokens, piece.intervals[i].end - begin);
    work_us += curve_.Rows(document(piece), begin, begin + taken);
    tokens -= taken;
  }
  return work_us;
}

// Returns how many of the piece's tokens [begin, end) see keys that are not beside them.
int64_t PieceModel::MergingRowsOf(const Piece& piece, int64_t begin, int64_t end) const {
  const Document& whole = document(piece);
  if (whole.mask.band().upper == 0 && SeesBackToStart(whole)) {  // all but the document's start
    const Piece::Interval& start = piece.intervals[0];
    const bool whole_start = begin == 0 && start.begin == 0;
    return end - begin - (whole_start ? std::min(start.end, end) : 0);
  }
  int64_t rows = 0;
  int64_t before = 0;
  for (int i = 0; i < piece.count && before < end; ++i) {
    const Piece::Interval& interval = piece.intervals[i];
    const int64_t first = interval.begin + std::max<int64_t>(0, begin - before);
    const int64_t last = std::min(interval.end, interval.begin + end - before);
    if (first < last) rows += MergingRows(whole, first, last);
    before += interval.end - interval.begin;
  }
  return rows;
}

int64_t PieceModel::Align(const Piece& piece, int64_t token) const {
  const int64_t rows = problem_.cluster.tiles.block_rows;
  int64_t before = 0;
  for (int i = 0; i < piece.count; ++i) {
    int64_t begin = piece.intervals[i].begin;
    int64_t end = piece.intervals[i].end;
    if (token <= before + end - begin) {
      int64_t position = begin + token - before;
      int64_t aligned = (position + rows / 2) / rows * rows;
      return before + std::clamp(aligned, begin, end) - begin;
    }
    before += end - begin;
  }
  return piece.tokens;
}

int64_t PieceModel::RowsNeeded(const Piece& piece, const Piece& other) const {
  int64_t rows = 0;
  int64_t counted = 0;  // positions before it are
  int j = 0;
  for (int i = 0; i < piece.count; ++i) {
    TokenRange keys = KeysNeeded(document(piece), piece.intervals[i].begin, piece.intervals[i].end);
    int64_t begin = std::max(keys.begin, counted);
    while (j < other.count && other.intervals[j].begin < keys.end) {
      rows += std::max<int64_t>(0, std::min(keys.end, other.intervals[j].end) -
                                       std::max(begin, other.intervals[j].begin));
      if (other.intervals[j].end > keys.end) break;
      ++j;
    }
    counted = std::max(counted, keys.end);
  }
  return rows;
}

double PieceModel::RowsSent(const Piece& piece) const {
  const Document& whole = document(piece);
  double rows = 0;
  for (int i = 0; i < piece.count; ++i) {
    const Piece::Interval& interval = piece.intervals[i];
    int64_t middle = (interval.begin + interval.end) / 2;
    const TokenRange queries = QueriesThatSee(whole, middle, middle + 1);
    double nodes = curve_.Rows(whole, queries.begin, queries.end) / node_us_;
    if (nodes > kLeastNodes) rows += nodes * (interval.end - interval.begin);
  }
  return rows;
}

double PieceModel::RowUs(const LinkClass& link) const {
  if (problem_.exchange != Exchange::kNeeded) return 0;
  return 3.0 * problem_.KeyValueBytesPerToken() / link.bytes_per_us;
}

double PieceModel::LeastRowUs() const {
  const Cluster& cluster = problem_.cluster;
  return RowUs(cluster.ranks_per_node > 1 ? cluster.intra_node : cluster.inter_node);
}

bool PieceModel::Cut(const Piece& piece, int64_t first, int64_t last, Piece& outer,
                     Piece& middle) const {
  for (Piece* part : {&outer, &middle}) {
    part->document = piece.document;
    part->count = 0;
    part->tokens = 0;
  }
  int64_t before = 0;
  for (int i = 0; i < piece.count; ++i) {
    int64_t begin = piece.intervals[i].begin;
    int64_t end = piece.intervals[i].end;
    int64_t low = std::clamp(begin + first - before, begin, end);
    int64_t high = std::clamp(begin + piece.tokens - last - before, low, end);
    if (!outer.Append(begin, low) || !middle.Append(low, high) || !outer.Append(high, end)) {
      return false;
    }
    before += end - begin;
  }
  if (outer.count > Piece::kMostKept || middle.count > Piece::kMostKept) return false;
  Weigh(outer);
  Weigh(middle);
  return true;
}

}  // namespace flashcp::solver

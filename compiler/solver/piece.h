// A piece: the part of one document that a group of ranks holds, and the ways to cut it in two.

#ifndef FLASHCP_COMPILER_SOLVER_PIECE_H_
#define FLASHCP_COMPILER_SOLVER_PIECE_H_

#include <array>
#include <cstdint>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/work_curve.h"

namespace flashcp::solver {

// Disjoint intervals of a document in rising order. A rank keeps kMostKept at most, so that two
// ranks together have room.
struct Piece {
  static constexpr int kMostIntervals = 8;
  static constexpr int kMostKept = 4;
  struct Interval {
    int64_t begin;
    int64_t end;
  };

  int document = 0;
  int count = 0;  // intervals
  int64_t tokens = 0;
  double work_us = 0;    // modelled forward + backward, exact
  int64_t received = 0;  // rows that its queries need beside its own
  std::array<Interval, kMostIntervals> intervals;

  // Appends [begin, end), behind all intervals; returns false if there is no room.
  bool Append(int64_t begin, int64_t end);
};

// Answers about the documents of a problem that the search needs.
class PieceModel {
 public:
  explicit PieceModel(const Problem& problem);

  const Problem& problem() const { return problem_; }
  const Document& document(const Piece& piece) const { return problem_.documents[piece.document]; }

  // Sets work_us and received.
  void Weigh(Piece& piece) const;

  // Work of the piece's first `tokens` tokens, microseconds, about, without merges.
  double Prefix(const Piece& piece, int64_t tokens) const;
  // Merges of the piece's tokens [begin, end) on a rank of their own, microseconds, about.
  double MergesUs(const Piece& piece, int64_t begin, int64_t end) const {
    return merge_row_us_ * static_cast<double>(MergingRowsOf(piece, begin, end));
  }

  // The token of the piece nearest to `token` whose position is a multiple of block_rows, or an end
  // of the interval that holds it.
  int64_t Align(const Piece& piece, int64_t token) const;

  // Rows of `other` that queries of `piece` need; both are of the same document.
  int64_t RowsNeeded(const Piece& piece, const Piece& other) const;

  // Returns about the rows that the piece sends, once per destination node. Once its document is
  // spread over the nodes that its work needs, all those behind the piece need its rows.
  double RowsSent(const Piece& piece) const;

  // Returns what each row costs a rank that receives it over these links: K/V come forward and
  // again backward, when dK/dV return; 0 if all rows travel anyway.
  double RowUs(const LinkClass& link) const;
  // Returns the least of it: ranks of one node share the rows that come from others, and pass them
  // on inside.
  double LeastRowUs() const;

  // Outer part: the first `first` and the last `last` tokens; middle: the others. Returns false if
  // a part would have more than kMostKept intervals.
  bool Cut(const Piece& piece, int64_t first, int64_t last, Piece& outer, Piece& middle) const;

 private:
  int64_t MergingRowsOf(const Piece& piece, int64_t begin, int64_t end) const;

  const Problem& problem_;
  SegmentTimer timer_;
  WorkCurve curve_;
  double merge_row_us_;  // a block's merge and prologue, for each of its rows
  double node_us_;       // work of a node, on the mean
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_PIECE_H_

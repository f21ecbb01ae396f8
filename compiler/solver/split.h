// A split of a group of ranks in two halves, with the pieces of documents that each half gets.
//
// Idea: put all pieces but one on either side, never above the side's tokens (assignment.h). The
// piece left over is cut (cutting.h): its outer part (the first p and the last q tokens) goes to
// one side, the middle to the other. p + q is given by the tokens, and the work of the outer part
// falls as p grows, so a root search finds the p that evens the work. p = 0 or q = 0 is a
// contiguous cut; nested cuts generalise zigzag to free boundaries and to any number of ranks for a
// document. Two pieces, each cut once, do the same if a single one cannot: one has heavy rows and
// the other light ones.

#ifndef FLASHCP_COMPILER_SOLVER_SPLIT_H_
#define FLASHCP_COMPILER_SOLVER_SPLIT_H_

#include <array>
#include <cstdint>
#include <limits>

#include "compiler/solver/piece.h"

namespace flashcp::solver {

// Weight of what two ranks take together against what the slower one does. A cut costs merges: what
// a division saves of them is room for other ranks, even if it leaves the two less even.
inline constexpr double kBothWeight = 0.7;

enum Side : uint8_t { kLeft = 0, kRight = 1 };
inline Side Opposite(Side side) { return side == kLeft ? kRight : kLeft; }

struct SplitGoal {
  int left_ranks = 1;
  int right_ranks = 1;
  double held_left_us = 0;  // work that the sides have besides the pieces
  double held_right_us = 0;
  int64_t tokens_left = 0;  // aimed at
  int64_t least_left = 0;   // allowed; equal to tokens_left at slack 0
  int64_t most_left = 0;
  double row_us = 0;           // what a row that a rank receives costs, forward and backward
  double least_row_us = 0;     // what it costs at least; asked if the sides are a rank each
  double sent_row_us = 0;      // what a row that a rank sends to another node costs; 0: do not ask
  double transfer_weight = 0;  // weight of transfers against work
  // A piece with more tokens or work than one rank's share goes to several ranks.
  double rank_tokens = 1;
  double rank_us = 1;
  // Penalty factor for imbalance: later splits cannot repair it.
  double imbalance_weight = 1;
  // Splits that leave more work than this on a rank are dropped.
  double most_us = std::numeric_limits<double>::infinity();

  // Returns whether the sides are a rank each, so that pieces tell all that they receive.
  bool SingleRanks() const { return left_ranks + right_ranks == 2; }

  // Returns the work of a rank on the mean, if the pieces have this much.
  double EvenUs(double pieces_us) const {
    return (pieces_us + held_left_us + held_right_us) / (left_ranks + right_ranks);
  }
};

// A piece that both sides share.
struct Cut {
  int piece = -1;
  int64_t first = 0;  // tokens of the outer part
  int64_t last = 0;
  Side outer = kLeft;
};

using Cuts = std::array<Cut, 3>;  // of different pieces

struct Split {
  // Modelled time of the slower side's mean rank, weighted work of both sides, weighted transfers,
  // and what some rank of either side sends beyond its share.
  double score = 0;
  double slower_us = 0;  // its work alone
  int64_t received = 0;  // rows that both sides receive, if they are a rank each
  int sides = -1;        // which assignment of the pieces
  int flipped = -1;      // a piece that goes to the other side than it says
  Cuts cuts;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SPLIT_H_

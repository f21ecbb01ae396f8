// Decides which nodes, and which ranks of them, own which rows of the heaviest documents, before
// all others are placed.

#ifndef FLASHCP_COMPILER_SOLVER_NODE_SPREAD_H_
#define FLASHCP_COMPILER_SOLVER_NODE_SPREAD_H_

#include <vector>

#include "compiler/solver/budget.h"
#include "compiler/solver/piece.h"

namespace flashcp::solver {

struct NodeSpread {
  std::vector<bool> spread;               // of each document: whether `owned` holds all of it
  std::vector<std::vector<Piece>> owned;  // by rank
};

NodeSpread SpreadNothing(const Problem& problem);

// Spreads as many of the heaviest documents as fit: none over up to 8 nodes of several ranks, and
// none whose band ends on both sides, since no other node needs its rows but for a halo. No rank
// owns more than floor(T / N) tokens of them. O(D log D), and O(ranks) root searches for each
// document that is spread.
NodeSpread SpreadOverNodes(const PieceModel& model, Budget& budget);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_NODE_SPREAD_H_

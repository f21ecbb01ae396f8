// The regimes of the search: all thresholds by number of ranks, in one table, each with its reason.

#ifndef FLASHCP_COMPILER_SOLVER_REGIME_H_
#define FLASHCP_COMPILER_SOLVER_REGIME_H_

#include <limits>

namespace flashcp::solver {

struct Regime {
  int most_ranks;

  // Starts that local search descends from, and the fraction 1 / first_round_share of the budget
  // that they spend before the one that came lowest gets the rest. A descent of very few ranks soon
  // ends, so more starts are worth more than a deep one; a descent of many needs all the time.
  int descents;
  int first_round_share;

  // True if the fixed rules (contiguous, zigzag, ...) are starts too. Above 32 ranks pairwise moves
  // cannot repair their fragmented placements.
  bool rules_are_starts;
  // True if starts are ranked by their mean excess over the bound, not by their slowest rank. Of
  // many ranks, trades soon mend a few slow ones, but never imbalance between halves of all.
  bool ranked_by_excess;
  // Weights of the first start; there may be time for no other. Many ranks make many cuts, whose
  // transfers are hidden by compute.
  double first_transfer_weight;
  double first_token_weight;

  // Penalty factor for imbalance in a split: between halves of many ranks it stays, since later
  // splits cannot repair it.
  double imbalance_weight;
  // True if splits count what ranks send to other nodes, and also cut the heaviest piece at blocks
  // first. Up to 8 ranks no row goes to many, and a block of rows is a small part of a rank's work.
  bool many_receivers;

  // True if the slowest rank trades with all others, not with a sample: cheap up to 8 ranks.
  bool trades_with_all;
  // Number of divisions of two ranks that are evaluated exactly: of at most kFewPieces pieces, and
  // of more. An evaluation costs time in proportion to the ranks that share the documents.
  int evaluated_of_few;
  int evaluated;
  // Number of heaviest and of lightest pieces that are cut in pairs, of at most kFewPaired pieces.
  int paired_of_few;

  // True if the search ends with saving rows that travel: it asks all pairs of ranks, so of few.
  bool saves_rows;

  // True if perturbations follow a descent; then its trials without gain before it ends. Above 64
  // ranks the budget ends before a second descent would pay.
  bool perturbs;
  int most_failures;
};

inline constexpr int kFewPieces = 8;
inline constexpr int kFewPaired = 6;
inline constexpr int kPaired = 2;  // of more pieces

inline constexpr Regime kRegimes[] = {
    {4, 6, 1, true, false, 0.3, 1, 1, false, true, 48, 8, 6, true, true, 3},
    {8, 4, 5, true, false, 0.3, 1, 1, false, true, 48, 8, 6, true, true, 3},
    {32, 2, 2, true, false, 0.3, 1, 1, true, false, 8, 8, 2, false, true, 3},
    {64, 1, 1, false, true, 0.05, 0.3, 5, true, false, 6, 6, 2, false, true, 3},
    {std::numeric_limits<int>::max(), 1, 1, false, true, 0.05, 0.3, 5, true, false, 6, 6, 2, false,
     false, 30},
};

inline const Regime& RegimeOf(int ranks) {
  const Regime* regime = kRegimes;
  while (ranks > regime->most_ranks) ++regime;
  return *regime;
}

// Most nodes of several ranks without a spread of heavy documents over them: a row goes to few of
// so few nodes, and bisection moves fewer rows inside them.
inline constexpr int kMostNodesWithoutSpread = 8;

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_REGIME_H_

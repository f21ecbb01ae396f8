// How the search depends on the number of ranks: all its thresholds, in one table.

#ifndef FLASHCP_COMPILER_SOLVER_REGIME_H_
#define FLASHCP_COMPILER_SOLVER_REGIME_H_

#include <limits>

namespace flashcp::solver {

struct Regime {
  int most_ranks;

  // Starts that local search descends from, and the part of the budget, one in `first_round_share`,
  // that they spend before the one that came lowest gets the rest. A descent of very few ranks soon
  // ends, so more starts are worth more than a deep one; a descent of many needs all the time.
  int descents;
  int first_round_share;

  // Whether fixed rules (contiguous, zigzag, ...) are starts too. Above 32 ranks, trades of two
  // ranks cannot repair their many segments.
  bool rules_are_starts;
  // Whether a start is as good as its mean excess over the bound, not as its slowest rank. Of many
  // ranks, trades soon mend a few slow ones, but never work that is uneven between halves of all.
  bool ranked_by_excess;
  // Of the first start; there may be time for no other. Many ranks make many cuts, whose transfers
  // are hidden by compute, and their tokens even out late.
  double first_transfer_weight;
  double first_token_weight;

  // How much more imbalance counts in a split than transfers do: between halves of many ranks it
  // stays, however they are split in turn.
  double imbalance_weight;
  // Whether splits count what ranks send to other nodes, and also cut the heaviest piece at blocks
  // first. Up to 8 ranks no row goes to many, and a block of rows is a small part of a rank's work.
  bool many_receivers;

  // Whether the slowest rank trades with all others, not with a sample: up to 8 ranks that is
  // cheap.
  bool trades_with_all;
  // Divisions of two ranks that are evaluated exactly, where they hold at most kFewPieces and where
  // they hold more: an evaluation costs time in proportion to the ranks that share the documents.
  int evaluated_of_few;
  int evaluated;
  // The heaviest and the lightest pieces that are cut in pairs, for at most kFewPaired pieces.
  int paired_of_few;

  // Whether perturbations follow a descent, and the trials without gain that end one. Above 64
  // ranks the budget ends before a second descent would pay.
  bool perturbs;
  int most_failures;
};

inline constexpr int kFewPieces = 8;
inline constexpr int kFewPaired = 6;
inline constexpr int kPaired = 2;  // of more pieces

inline constexpr Regime kRegimes[] = {
    {4, 6, 1, true, false, 0.3, 1, 1, false, true, 48, 8, 6, true, 3},
    {8, 4, 5, true, false, 0.3, 1, 1, false, true, 48, 8, 6, true, 3},
    {32, 3, 5, true, false, 0.3, 1, 1, true, false, 8, 8, 2, true, 3},
    {64, 1, 1, false, true, 0.05, 0.3, 5, true, false, 6, 6, 2, true, 3},
    {std::numeric_limits<int>::max(), 1, 1, false, true, 0.05, 0.3, 5, true, false, 6, 6, 2, false,
     30},
};

inline const Regime& RegimeOf(int ranks) {
  const Regime* regime = kRegimes;
  while (ranks > regime->most_ranks) ++regime;
  return *regime;
}

// Heavy documents are spread over nodes of several ranks where there are more nodes than this: a
// row of a document on fewer goes to few, and bisection moves fewer rows inside the nodes.
inline constexpr int kMostNodesWithoutSpread = 8;

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_REGIME_H_

// The regimes of the search: all thresholds by number of ranks, in one table, each with its reason.

#ifndef FLASHCP_COMPILER_SOLVER_REGIME_H_
#define FLASHCP_COMPILER_SOLVER_REGIME_H_

#include <limits>

namespace flashcp::solver {

struct Regime {
  int most_ranks;

  // Starts that local search descends from, before the one that came lowest gets what is left.
  int descents;
  // The fraction 1 / first_round_share of the budget that they spend, as many ranks need all the
  // time; or 0 if the search goes on in rounds instead, until one gains hardly anything: a doubling
  // of its time makes steps of few ranks 0.1 to 0.2% shorter. The starts share half a round.
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

  // True if the search ends with saving rows that travel: it asks all pairs of ranks, so of few.
  bool saves_rows;

  // True if perturbations follow a descent; then its trials without gain before it ends. Above 64
  // ranks the budget ends before a second descent would pay.
  bool perturbs;
  int most_failures;
};

inline constexpr int kFewPieces = 8;

inline constexpr Regime kRegimes[] = {
    {4, 6, 1, true, false, 0.3, 1, 1, false, true, 48, 8, true, true, 3},
    {8, 3, 0, true, false, 0.3, 1, 1, false, true, 12, 4, true, true, 3},
    {32, 2, 2, true, false, 0.3, 1, 1, true, false, 8, 8, false, true, 3},
    {64, 1, 1, false, true, 0.05, 0.3, 5, true, false, 6, 6, false, true, 3},
    {std::numeric_limits<int>::max(), 1, 1, false, true, 0.05, 0.3, 5, true, false, 6, 6, false,
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

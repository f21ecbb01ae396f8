// Divides the tokens of two ranks anew: the move of the local search.

#ifndef FLASHCP_COMPILER_SOLVER_RESPLIT_H_
#define FLASHCP_COMPILER_SOLVER_RESPLIT_H_

#include <vector>

#include "compiler/solver/assignment.h"
#include "compiler/solver/cutting.h"
#include "compiler/solver/piece.h"
#include "compiler/solver/random.h"
#include "compiler/solver/search_state.h"
#include "compiler/solver/split.h"

namespace flashcp::solver {

// The ways to divide the documents of two ranks: the present division with a piece cut anew, moved,
// or two of them cut.
class Resplit {
 public:
  // `rank` is the left side. Only splits that leave at most `most_us` of work on either.
  Resplit(const PieceModel& model, const SearchState& state, int rank, int other,
          double transfer_weight, double most_us, Random& random);

  int pieces() const { return assignments_.size(); }
  // Splits by rising score.
  const std::vector<Split>& splits() const { return splits_; }
  // Returns the documents that the split changes.
  std::vector<DocumentChange> Changes(const Split& split) const;
  int64_t steps() const { return assignments_.steps() + cutter_.steps(); }

 private:
  // The present place of a piece.
  enum Held : uint8_t { kHeldLeft = kLeft, kHeldRight = kRight, kHeldByBoth };

  static std::vector<Piece> Pool(const PieceModel& model, const SearchState& state, int rank,
                                 int other);
  static SplitGoal Goal(const PieceModel& model, const SearchState& state, int rank, int other,
                        double transfer_weight, double most_us);
  void FindHolders();
  void AddFromPresent(Random& random);
  void AddTwoCuts(Random& random);
  std::vector<Side> PresentSides(Random& random) const;

  const SearchState& state_;
  const int rank_;
  const int other_;
  const SplitGoal goal_;
  Assignments assignments_;
  Cutter cutter_;
  std::vector<Held> held_;   // of each piece
  std::vector<int> shared_;  // pieces that both hold
  std::vector<Split> splits_;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_RESPLIT_H_

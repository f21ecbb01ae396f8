// Cuts one or two pieces of a split, so that tokens come out exact and work even, and scores the
// splits that result.

#ifndef FLASHCP_COMPILER_SOLVER_CUTTING_H_
#define FLASHCP_COMPILER_SOLVER_CUTTING_H_

#include <array>
#include <cstdint>
#include <vector>

#include "compiler/solver/assignment.h"
#include "compiler/solver/piece.h"
#include "compiler/solver/split.h"

namespace flashcp::solver {

class Cutter {
 public:
  // The model and the assignments outlive it.
  Cutter(const PieceModel& model, Assignments& assignments, const SplitGoal& goal);

  // Adds the splits that cut `piece`, with the others as assigned but for `flipped` (or -1).
  void AddOneCut(int sides, int flipped, int piece);
  // Adds the splits that cut both pieces, each once.
  void AddTwoCuts(int sides, int heavy, int light);
  // Adds splits that cut the heavy piece first, at blocks, so that the others even out what blocks
  // of long rows leave uneven; the light one fills up the tokens.
  void AddHeavyCuts(int heavy, int light, double token_weight);

  std::vector<Split>& splits() { return splits_; }
  // Returns the parts of a cut piece for both sides; always possible for a cut of an added split.
  std::array<Piece, 2> Parts(const Cut& cut) const;
  // Returns the pieces of both sides.
  std::array<std::vector<Piece>, 2> Apply(const Split& split) const;

  int64_t steps() const { return steps_; }  // 8 for each split scored so far

 private:
  const Piece& At(int i) const { return assignments_.piece(i); }
  bool TooLong(const SideLoad& load) const;
  void FindFillers();
  void AddAligned(int sides, int flipped, const SideLoad& load, Cuts cuts);
  bool EndsShort(const Piece& piece, int64_t tail) const;
  SideLoad WithParts(const SideLoad& load, const Cut& cut, double all_us) const;
  double UnevenUs(const SideLoad& load) const;
  void SolveOneCut(const SideLoad& load, int64_t outer_tokens, Cut& cut) const;
  bool SolveTwoCuts(const SideLoad& load, Cut& heavy, Cut& light) const;
  std::vector<Cut> HeavyCuts(int heavy) const;
  void AddFilled(int sides, const Cut& heavy, int light);
  void AddSplit(int sides, int flipped, const SideLoad& load, const Cuts& cuts);
  double SentUs(const Piece& part) const;
  double SharedRowsUs(const std::array<Piece, 2>& parts, Side side) const;

  const PieceModel& model_;
  Assignments& assignments_;
  const SplitGoal goal_;
  double even_us_ = 0;  // work of a rank, on the mean
  std::vector<int> fillers_;
  std::vector<Split> splits_;
  int64_t steps_ = 0;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_CUTTING_H_

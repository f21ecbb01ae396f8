// Assigns whole pieces to the two sides of a split, so that tokens and work come out even.

#ifndef FLASHCP_COMPILER_SOLVER_ASSIGNMENT_H_
#define FLASHCP_COMPILER_SOLVER_ASSIGNMENT_H_

#include <array>
#include <cstdint>
#include <vector>

#include "compiler/solver/piece.h"
#include "compiler/solver/split.h"

namespace flashcp::solver {

// Tokens, work and received rows of the sides, without what they hold besides the pieces.
struct SideLoad {
  int64_t tokens_left = 0;
  double left_us = 0;
  double right_us = 0;
  std::array<int64_t, 2> received = {0, 0};  // by side; see Piece

  void Add(const Piece& piece, Side side) { Change(piece, side, 1); }
  void Remove(const Piece& piece, Side side) { Change(piece, side, -1); }

 private:
  void Change(const Piece& piece, Side side, int sign) {
    received[side] += sign * piece.received;
    if (side == kLeft) {
      tokens_left += sign * piece.tokens;
      left_us += sign * piece.work_us;
    } else {
      right_us += sign * piece.work_us;
    }
  }
};

class Assignments {
 public:
  Assignments(std::vector<Piece> pieces, const SplitGoal& goal);

  int size() const { return static_cast<int>(pieces_.size()); }
  const Piece& piece(int i) const { return pieces_[i]; }
  double work_us() const { return work_us_; }              // of all pieces
  double left_share_us() const { return left_share_us_; }  // of it, what the left side should have

  const std::vector<int>& heaviest() const { return heaviest_; }  // by falling work
  // Returns the pieces with most tokens and little work each.
  std::vector<int> Lightest(int count) const;

  // Adds an assignment of all pieces to sides and returns its number. The sides of pieces that a
  // split cuts or flips do not matter.
  int Add(std::vector<Side> sides);
  // Assigns all pieces but one or two (second may be -1), heaviest first, each to the side that
  // leaves work and (by token_weight) tokens more even, as shares of what is still to come. Parts
  // that are on the sides already come first. Returns -1 if a piece fits on neither side.
  int AddGreedy(int first, int second, double token_weight, const std::array<Piece, 2>& parts = {});

  const std::vector<Side>& sides(int number) const { return all_[number].side; }
  const SideLoad& load(int number) const { return all_[number].load; }
  // Returns the side of a piece that the split does not cut.
  Side SideOf(const Split& split, int piece) const {
    const Side side = sides(split.sides)[piece];
    return piece == split.flipped ? Opposite(side) : side;
  }

  int64_t steps() const { return steps_; }  // pieces looked at so far

 private:
  struct Assignment {
    std::vector<Side> side;
    SideLoad load;
  };
  struct Lack;

  int GiveLightest(int first, int second, Lack& lack, std::vector<Side>& sides) const;
  Side EvenSide(const Piece& piece, double token_weight, const Lack& all, const Lack& lack) const;

  std::vector<Piece> pieces_;
  const SplitGoal goal_;
  int64_t tokens_ = 0;
  double work_us_ = 0;
  double left_share_us_ = 0;
  std::vector<int> heaviest_;
  std::vector<Assignment> all_;
  int64_t steps_ = 0;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_ASSIGNMENT_H_

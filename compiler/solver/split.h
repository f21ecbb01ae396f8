// Divides the pieces of a group of ranks between its two halves: tokens exactly, work as evenly as
// one or two cut pieces allow, few rows between the halves.
//
// Idea: put all pieces but one on either side, never above the side's tokens. The piece left over
// is cut: its outer part (the first p and the last q tokens) goes to one side, the middle to the
// other. p + q is given by the tokens, and the work of the outer part falls as p grows, so a binary
// search finds the p that evens the work. p = 0 or q = 0 is a contiguous cut; nested cuts
// generalise zigzag to free boundaries and to any number of ranks for a document. Two pieces, each
// cut once, do the same where a single one cannot: one has heavy rows and the other light ones.

#ifndef FLASHCP_COMPILER_SOLVER_SPLIT_H_
#define FLASHCP_COMPILER_SOLVER_SPLIT_H_

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "compiler/solver/piece.h"

namespace flashcp::solver {

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
  double row_us = 0;       // what a row that a rank receives costs, forward and backward
  double sent_row_us = 0;  // what a row that a rank sends to another node costs; 0: do not ask
  double lambda = 0;       // weight of transfers against work
  // A piece with more tokens or work than one rank's share goes to several ranks.
  double rank_tokens = 1;
  double rank_us = 1;
  // How much more work that is uneven counts than transfers do: between halves of many ranks it
  // stays, however they are split in turn.
  double uneven_weight = 1;
  // Splits that leave more work than this on a rank are dropped.
  double most_us = std::numeric_limits<double>::infinity();
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
  // Modelled time of the slower side's mean rank, weighted transfers, and what some rank of either
  // side sends beyond its share.
  double score = 0;
  double slower_us = 0;  // its work alone
  int sides = -1;        // which assignment of the pieces
  int flipped = -1;      // a piece that goes to the other side than it says
  Cuts cuts;
};

class Splitter {
 public:
  Splitter(const PieceModel& model, std::vector<Piece> pieces, const SplitGoal& goal);

  int size() const { return static_cast<int>(pieces_.size()); }
  const Piece& piece(int i) const { return pieces_[i]; }
  double work_us() const { return work_us_; }

  const std::vector<int>& heaviest() const { return heaviest_; }  // by falling work
  std::vector<int> Lightest(int count) const;

  // Adds an assignment of all pieces to sides and returns its number. Those that a split cuts or
  // flips do not matter.
  int AddSides(std::vector<Side> sides);
  // Assigns all pieces but one or two (second may be -1), heaviest first, each to the side that
  // leaves work and (by token_weight) tokens more even, as shares of what is still to come. -1
  // where one fits on neither side. A cut that is fixed goes before all of them.
  int AddGreedySides(int first, int second, double token_weight, const Cut* fixed = nullptr);

  // Adds the splits that cut `piece`, with the others as assigned but for `flipped` (or -1).
  void AddOneCut(int sides, int flipped, int piece);
  // Adds the splits that cut both pieces, each once.
  void AddTwoCuts(int sides, int heavy, int light);
  // Adds splits that cut the heavy piece first, at blocks, so that the others even out what blocks
  // of long rows leave uneven; the light one fills up the tokens.
  void AddHeavyCuts(int heavy, int light, double token_weight);

  std::vector<Split>& splits() { return splits_; }
  // Where a piece goes that the split does not cut.
  Side SideOf(const Split& split, int piece) const {
    Side side = sides_[split.sides].side[piece];
    return piece == split.flipped ? Opposite(side) : side;
  }
  // The parts of a cut piece for both sides; always possible for a cut of an added split.
  std::array<Piece, 2> Parts(const Cut& cut) const;
  // The pieces of both sides.
  std::array<std::vector<Piece>, 2> Apply(const Split& split) const;

  // Pieces looked at so far.
  int64_t steps() const { return steps_; }

 private:
  struct Assignment {
    std::vector<Side> side;
    int64_t tokens_left;
    double left_us;
    double right_us;
  };
  struct Load {
    int64_t tokens_left;
    double left_us;
    double right_us;
    void Remove(const Piece& piece, Side side);
  };

  struct Lack;

  Load LoadOf(int sides) const;
  int GiveLightest(int first, int second, Lack& lack, std::vector<Side>& sides) const;
  Side EvenSide(const Piece& piece, double token_weight, const Lack& all, const Lack& lack) const;
  std::vector<Cut> HeavyCuts(int heavy) const;
  void AddFilled(int sides, const Cut& heavy, int light);
  bool TooLong(const Load& load) const;
  void FindFillers();
  void AddAligned(int sides, int flipped, const Load& load, Cuts cuts);
  bool EndsShort(const Piece& piece, int64_t tail) const;
  void SolveOneCut(const Piece& piece, int64_t outer_tokens, double outer_us, Cut& cut) const;
  int64_t SolveTwoCuts(const Load& load, const Cut& heavy, const Cut& light) const;
  void AddSplit(int sides, int flipped, const Load& load, const Cuts& cuts);
  double SentUs(const Piece& part) const;
  double RowsUs(const Piece& to, const Piece& from, int ranks) const;

  const PieceModel& model_;
  std::vector<Piece> pieces_;
  SplitGoal goal_;
  int64_t tokens_ = 0;
  double work_us_ = 0;
  double even_us_ = 0;        // work of a rank, on the mean
  double left_share_us_ = 0;  // work of the pieces that the left side should have
  std::vector<int> heaviest_;
  std::vector<int> fillers_;
  std::vector<Assignment> sides_;
  std::vector<Split> splits_;
  int64_t steps_ = 0;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SPLIT_H_

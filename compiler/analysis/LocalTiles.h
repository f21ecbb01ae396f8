// Divides the local tiles of a rank among the places of a pass where it does
// some, by their pairs of queries and keys.

#ifndef FLASHCP_COMPILER_ANALYSIS_LOCALTILES_H
#define FLASHCP_COMPILER_ANALYSIS_LOCALTILES_H

#include "compiler/solver/problem.h"
#include "dialects/cp/CP.h"

namespace flashcp {

class LocalTiles {
public:
  /// Parts of a tile that must be wanted before it is taken. Forward, a rank
  /// that begins a tile idles less than one that waits. Backward, local tiles
  /// also hide the way of the last gradients.
  static constexpr double kForward = 0, kBackward = 0.5;

  /// Takes the local tiles of a rank in their order.
  LocalTiles(llvm::ArrayRef<cp::StageTile> tiles,
             const solver::Problem &problem, double part);

  /// Tiles [begin, end).
  struct Range {
    int64_t begin, end;
    bool empty() const { return begin == end; }
  };
  /// Returns the tiles that follow those of the last call and have `share` of
  /// all pairs, rounded to whole tiles: what that adds or takes counts in the
  /// next call.
  Range next(double share);
  /// Returns all tiles that are left.
  Range rest();

private:
  std::vector<double> least; // share of all pairs that takes a tile
  double wanted = 0;         // share so far
  int64_t taken = 0;         // tiles so far
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_LOCALTILES_H

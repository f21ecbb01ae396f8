// Adds up pairs once, and walks along the tiles as shares are asked for.

#include "compiler/analysis/LocalTiles.h"

#include <numeric>

using namespace mlir;

namespace flashcp {

// Shares are sums of fractions.
static constexpr double kRounded = 1e-9;

LocalTiles::LocalTiles(ArrayRef<cp::StageTile> tiles,
                       const solver::Problem &problem, double part) {
  std::vector<double> pairs;
  for (const cp::StageTile &tile : tiles)
    pairs.push_back(model::CountPairs(
        problem.documents[tile.document].mask.band(),
        {tile.queryBegin, tile.queryEnd}, {tile.keyBegin, tile.keyEnd}));
  double all = std::accumulate(pairs.begin(), pairs.end(), 0.0);
  double before = 0;
  for (double ofTile : pairs) {
    least.push_back((before + ofTile * part) / std::max(1.0, all) + kRounded);
    before += ofTile;
  }
}

LocalTiles::Range LocalTiles::next(double share) {
  wanted += share;
  int64_t begin = taken;
  while (taken < int64_t(least.size()) && least[taken] < wanted)
    ++taken;
  return {begin, taken};
}

LocalTiles::Range LocalTiles::rest() {
  int64_t begin = taken;
  taken = least.size();
  return {begin, taken};
}

} // namespace flashcp

// Fills each stage up with local work to its share of the whole.

#include "compiler/solver/pacing.h"

#include <algorithm>
#include <numeric>

namespace flashcp::solver {

std::vector<double> PacedWork(double local, const std::vector<double>& stages) {
  const double all = std::accumulate(stages.begin(), stages.end(), local);
  const double share = local / (stages.size() + 1);
  std::vector<double> before;
  double left = local - share;
  double done = 0;
  for (double stage : stages) {
    double wanted = (before.size() + 1) * all / (stages.size() + 1) - done - stage;
    if (before.empty()) wanted = std::max(wanted, share);
    before.push_back(std::clamp(wanted, 0.0, left));
    left -= before.back();
    done += before.back() + stage;
  }
  return before;
}

std::vector<int64_t> PacedTiles(const std::vector<double>& tiles,
                                const std::vector<double>& stages) {
  const double local = std::accumulate(tiles.begin(), tiles.end(), 0.0);
  std::vector<int64_t> counts;
  double wanted = 0;
  double done = 0;
  size_t count = 0;
  for (double work : PacedWork(local, stages)) {
    wanted += work;
    while (count < tiles.size() && done + tiles[count] / 2 <= wanted) done += tiles[count++];
    counts.push_back(count);
  }
  return counts;
}

}  // namespace flashcp::solver

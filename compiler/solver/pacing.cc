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

}  // namespace flashcp::solver

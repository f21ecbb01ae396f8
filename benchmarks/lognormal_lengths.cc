#include "benchmarks/lognormal_lengths.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace flashcp {

std::vector<int64_t> LognormalLengths(int documents, int64_t tokens, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> lognormal(0, 1.3);
  std::vector<double> shares(documents);
  for (double& share : shares) share = lognormal(random);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<int64_t> lengths;
  for (double share : shares) {
    lengths.push_back(1 +
                      static_cast<int64_t>(share / sum * static_cast<double>(tokens - documents)));
  }
  // What rounding down has left.
  *std::max_element(lengths.begin(), lengths.end()) +=
      tokens - std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  return lengths;
}

}  // namespace flashcp

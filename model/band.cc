// Counts the pairs of a band: those up to its upper diagonal, less those below its lower one.

#include "model/band.h"

namespace flashcp::model {
namespace {

// Sum of clamp(x, 0, most) for x < n. Modulo 2^64: differences of two sums are exact.
uint64_t SumOfClamped(int64_t n, int64_t most) {
  if (n <= 0) return 0;
  const uint64_t rising = std::min(n - 1, most);
  return rising * (rising + 1) / 2 + (n - 1 - rising) * static_cast<uint64_t>(most);
}

// Number of pairs with key - query <= diagonal.
uint64_t PairsUpTo(int64_t diagonal, TokenRange queries, TokenRange keys) {
  // Query i has clamp(i + shift, 0, number of keys) of them.
  const int64_t shift = diagonal + 1 - keys.begin;
  const int64_t count = keys.end - keys.begin;
  return SumOfClamped(queries.end + shift, count) - SumOfClamped(queries.begin + shift, count);
}

}  // namespace

int64_t CountPairs(const Band& band, TokenRange queries, TokenRange keys) {
  if (queries.begin >= queries.end || keys.begin >= keys.end || band.lower > band.upper) return 0;
  return PairsUpTo(band.upper, queries, keys) - PairsUpTo(int64_t{band.lower} - 1, queries, keys);
}

}  // namespace flashcp::model

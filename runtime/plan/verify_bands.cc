// Counts the pairs of a band query by query, in two runs: of queries that see one key more each,
// and of queries that see all.

#include "runtime/plan/verify_bands.h"

#include <algorithm>

namespace flashcp::verifier {
namespace {

// Number of pairs with key - query <= diagonal; there are keys.
uint64_t PairsUpTo(int64_t diagonal, PositionRange queries, PositionRange keys) {
  const int64_t begin = queries.begin;
  const int64_t end = queries.end;
  const int64_t key_begin = keys.begin;
  const int64_t key_end = keys.end;
  const int64_t some = std::clamp(key_begin - diagonal, begin, end);   // the first that sees a key
  const int64_t all = std::clamp(key_end - 1 - diagonal, begin, end);  // the first that sees all
  const uint64_t growing = all - some;
  const uint64_t keys_of_some = some + diagonal + 1 - key_begin;
  return growing * (2 * keys_of_some + growing - 1) / 2 +
         static_cast<uint64_t>(end - all) * (keys.end - keys.begin);
}

}  // namespace

uint64_t CountPairs(const fbs::Band& band, PositionRange queries, PositionRange keys) {
  if (queries.begin >= queries.end || keys.begin >= keys.end || band.lower() > band.upper())
    return 0;
  return PairsUpTo(band.upper(), queries, keys) -
         PairsUpTo(int64_t{band.lower()} - 1, queries, keys);
}

PositionRange KeysSeen(const fbs::Band& band, PositionRange queries, PositionRange keys) {
  if (CountPairs(band, queries, keys) == 0) return {keys.begin, keys.begin};
  const int64_t first = static_cast<int64_t>(queries.begin) + band.lower();
  const int64_t last = static_cast<int64_t>(queries.end) - 1 + band.upper();
  return {static_cast<uint64_t>(std::max<int64_t>(keys.begin, first)),
          static_cast<uint64_t>(std::min<int64_t>(keys.end, last + 1))};
}

bool ShowTheSame(const fbs::Band& a, const fbs::Band& b, PositionRange queries,
                 PositionRange keys) {
  // Diagonals that the rectangle has; each holds a pair.
  const int64_t first = static_cast<int64_t>(keys.begin) - static_cast<int64_t>(queries.end - 1);
  const int64_t last = static_cast<int64_t>(keys.end - 1) - static_cast<int64_t>(queries.begin);
  return std::max<int64_t>(a.lower(), first) == std::max<int64_t>(b.lower(), first) &&
         std::min<int64_t>(a.upper(), last) == std::min<int64_t>(b.upper(), last);
}

}  // namespace flashcp::verifier

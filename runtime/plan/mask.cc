#include "runtime/plan/mask.h"

#include <algorithm>

namespace flashcp {
namespace {

// Sum of min(u, x) over u in [1, n].
uint64_t SumOfMin(uint64_t n, uint64_t x) {
  uint64_t below = std::min(n, x);
  return below * (below + 1) / 2 + (n - below) * x;
}

// Number of pairs with a key below x and at least `distance` - 1 behind its query: query q has
// min(q + 1 - distance, x) such keys, where that is positive.
uint64_t PairsBehind(PositionRange queries, uint64_t x, uint64_t distance) {
  uint64_t last = queries.end > distance ? queries.end - distance : 0;
  uint64_t before_first = queries.begin > distance ? queries.begin - distance : 0;
  return SumOfMin(last, x) - SumOfMin(before_first, x);
}

// Number of allowed pairs with a key below x.
uint64_t PairsBelow(const fbs::Document& document, PositionRange queries, uint64_t x) {
  switch (document.mask()) {
    case fbs::MaskKind::causal:
      return PairsBehind(queries, x, 0);
    case fbs::MaskKind::window:
      return PairsBehind(queries, x, 0) - PairsBehind(queries, x, document.window());
    case fbs::MaskKind::full:
      break;
  }
  return (queries.end - queries.begin) * x;
}

}  // namespace

uint64_t CountPairs(const fbs::Document& document, PositionRange queries, PositionRange keys) {
  return PairsBelow(document, queries, keys.end) - PairsBelow(document, queries, keys.begin);
}

PositionRange KeysSeen(const fbs::Document& document, PositionRange queries) {
  if (document.mask() == fbs::MaskKind::full) return {0, document.length()};
  uint64_t first = queries.begin + 1;
  bool trimmed = document.mask() == fbs::MaskKind::window && first > document.window();
  return {trimmed ? first - document.window() : 0, queries.end};
}

}  // namespace flashcp

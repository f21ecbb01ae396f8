// The pairs of a band, by closed forms of the verifier's own: it shares no code with what makes and
// runs plans.

#ifndef FLASHCP_RUNTIME_PLAN_VERIFY_BANDS_H_
#define FLASHCP_RUNTIME_PLAN_VERIFY_BANDS_H_

#include <cstdint>

#include "runtime/plan/plan_generated.h"

namespace flashcp::verifier {

// Positions [begin, end) of a document, at most 2^33.
struct PositionRange {
  uint64_t begin;
  uint64_t end;
};

// Number of pairs of these queries and keys in the band, for one head.
uint64_t CountPairs(const fbs::Band& band, PositionRange queries, PositionRange keys);

// Returns those of the keys that some of the queries see; empty if there is no pair.
PositionRange KeysSeen(const fbs::Band& band, PositionRange queries, PositionRange keys);

// Whether the two bands show the same of these queries and keys, of which `a` shows at least one
// pair.
bool ShowTheSame(const fbs::Band& a, const fbs::Band& b, PositionRange queries, PositionRange keys);

}  // namespace flashcp::verifier

#endif  // FLASHCP_RUNTIME_PLAN_VERIFY_BANDS_H_

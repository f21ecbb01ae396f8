// Which (query, key) pairs of a document its mask allows, by closed forms.

#ifndef FLASHCP_RUNTIME_PLAN_MASK_H_
#define FLASHCP_RUNTIME_PLAN_MASK_H_

#include <cstdint>

#include "runtime/plan/plan_generated.h"

namespace flashcp {

// Positions [begin, end) of a document.
struct PositionRange {
  uint64_t begin;
  uint64_t end;
};

// Number of pairs that the mask allows among these queries and keys, for one head. Positions are
// below 2^32.
uint64_t CountPairs(const fbs::Document& document, PositionRange queries, PositionRange keys);

// The keys that some of these queries see; there is at least one query.
PositionRange KeysSeen(const fbs::Document& document, PositionRange queries);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PLAN_MASK_H_

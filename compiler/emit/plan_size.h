// The size of a plan before it is made: placements whose plan no file can hold
// are refused before passes spend minutes and gigabytes on them.

#ifndef FLASHCP_COMPILER_EMIT_PLAN_SIZE_H_
#define FLASHCP_COMPILER_EMIT_PLAN_SIZE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "compiler/solver/problem.h"

namespace flashcp {

// Largest plan: FlatBuffers address with 31 bits.
inline constexpr size_t kMaxPlanBytes = (size_t{1} << 31) - (1 << 20);

// Begins every error that says that a plan would exceed what its format counts.
inline constexpr absl::string_view kPlanTooLarge = "plan too large: ";

// Returns the error for a plan of about `bytes`, more than kMaxPlanBytes: what
// to do about it.
std::string PlanTooLarge(size_t bytes);

// Returns the bytes of the layouts, tiles and received slices of the plan that
// `placement` leads to. Never more than emission reserves for them. O(segments
// * segments of one rank in a document).
size_t EstimatePlanBytes(const solver::Problem &problem,
                         const solver::Placement &placement);

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_PLAN_SIZE_H_

// Placement for plans: what auto promises of the placement's step holds for the step of its schedule
// too, whose stages the search does not see.

#ifndef FLASHCP_COMPILER_SOLVER_PLACE_FOR_SCHEDULE_H_
#define FLASHCP_COMPILER_SOLVER_PLACE_FOR_SCHEDULE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Returns the limit to choose a schedule with if ranks save up to some bytes of rows, which the
// solver does not know: where some are saved, each place of a workspace is aligned twice.
int64_t LimitWithSavedRows(int64_t workspace_limit_bytes, int64_t memory_budget_bytes);

// Place(); and for `auto` the placement of another strategy if its schedule within the workspace
// limit (0: none) has a shorter step than that of the placement found.
absl::StatusOr<Placement> PlaceForSchedule(absl::string_view strategy, const Problem& problem,
                                           double budget_ms, int64_t workspace_limit_bytes);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_PLACE_FOR_SCHEDULE_H_

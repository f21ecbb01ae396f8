// The schedule of a placement: in how many groups of heads and how many stages of rows its passes
// run, so that what a rank takes besides its own tensors stays under a limit and the step is short.
//
// Each pass handles one group of heads after another; every buffer holds the heads of one group.
// Within a group rows of other ranks arrive in stages that rotate (row_stage.h), in buffers that
// later stages use again. All times are modelled.

#ifndef FLASHCP_COMPILER_SOLVER_SCHEDULE_H_
#define FLASHCP_COMPILER_SOLVER_SCHEDULE_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "compiler/solver/stage_loads.h"

namespace flashcp::solver {

struct Schedule {
  int head_groups = 1;  // divides the key/value heads
  int row_stages = 1;   // 0 if no rows travel
  double forward_us = 0;
  double backward_us = 0;
  int64_t workspace_bytes = 0;  // of the rank that takes most
  int64_t backward_workspace_bytes = 0;

  double StepUs() const { return forward_us + backward_us; }
};

// Begins the error that no schedule meets the limit.
inline constexpr absl::string_view kWorkspaceLimitTooLow = "workspace limit too low: ";

// Returns the schedule with the shortest step of those whose workspaces are at most the limit (0:
// no limit); of equals the one with the fewest groups, then the fewest stages. InvalidArgument if
// there is none: the last number of the message is the least limit in MiB that some schedule meets.
absl::StatusOr<Schedule> ChooseSchedule(const StageLoads& loads, int64_t workspace_limit_bytes);

// Returns the least limit in MiB that such an error names; nothing for any other status.
std::optional<int64_t> LeastLimitMib(const absl::Status& status);

// Returns the model of one schedule of the placement: its times and workspaces. `head_groups`
// divides the key/value heads.
Schedule ModelSchedule(const StageLoads& loads, int head_groups, int row_stages);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SCHEDULE_H_

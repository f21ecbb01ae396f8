// The contents of plans as tables for people, and comparisons as tables and JSON. Every modelled
// figure has that label.

#ifndef FLASHCP_TOOLS_CLI_REPORT_H_
#define FLASHCP_TOOLS_CLI_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/solver/problem.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/statistics.h"
#include "session/timed_compiler.h"

namespace flashcp::cli {

// Returns the plan's totals, and below them a table of ranks; the extremes of many, unless
// `all_ranks`.
std::string PlanTable(const Plan& plan, bool all_ranks);

// Returns "8 head groups, 1 row stage, workspace of a rank at most 111.2 MiB".
std::string ScheduleText(const Plan& plan);

// Returns "modelled: step 8.050 ms on this layout; of all layouts, lower bound of a step 7.070 ms"
// and the bounds.
std::string LayoutText(const Plan& plan);

// Returns the planning time of the solver, the rest of the IR, emission, and each step.
std::string TimingTable(const session::TimedPlan& timed);

// The figures of a strategy's plan, which may be too large to keep.
struct ComparedStrategy {
  std::string strategy;
  absl::Status status;  // figures are there only if it is OK
  PlanStatistics statistics;
  fbs::Modelled modelled;
  double planning_ms = 0;
};
ComparedStrategy Compare(const std::string& strategy,
                         const absl::StatusOr<session::TimedPlan>& timed);

// The strategies of one batch.
struct Comparison {
  solver::Problem problem;
  std::vector<ComparedStrategy> strategies;
};

// Returns one JSON object with an entry for each batch.
std::string ComparisonJson(const std::vector<Comparison>& batches);
// Return the lines above a batch's strategies, and the line of one strategy: a reader sees each as
// soon as it is known.
std::string ComparisonHeader(const solver::Problem& problem);
std::string ComparisonRow(const ComparedStrategy& compared);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_REPORT_H_

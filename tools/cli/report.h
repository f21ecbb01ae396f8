// What plans hold, as JSON for programs and as tables for people. Every modelled figure is labelled
// so. docs/cli.md describes the keys.

#ifndef FLASHCP_TOOLS_CLI_REPORT_H_
#define FLASHCP_TOOLS_CLI_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "runtime/plan/plan.h"
#include "tools/cli/planning.h"

namespace flashcp::cli {

// One JSON object. planning_ms is null where it is not known.
std::string PlanJson(const Plan& plan, std::optional<double> planning_ms);
// A table of ranks, and the plan's totals below it.
std::string PlanTable(const Plan& plan, std::optional<double> planning_ms);

// Where planning time went: the solver, the rest of the IR, emission, and each step.
std::string TimingTable(const TimedPlan& timed);

// Plans of one batch, each by another strategy.
using Comparison = std::vector<TimedPlan>;

// One JSON object with an entry for each batch.
std::string ComparisonJson(const std::vector<Comparison>& batches);
// A table of strategies.
std::string ComparisonTable(const Comparison& plans);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_REPORT_H_

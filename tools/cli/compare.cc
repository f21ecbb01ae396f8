// flashcp compare: every strategy on the same batches, side by side.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/solver/strategies.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/planning.h"
#include "tools/cli/report.h"

namespace flashcp::cli {
namespace {

absl::StatusOr<Comparison> PlanWithAll(const solver::Problem& problem, double time_budget_ms,
                                       TimedCompiler* compiler) {
  Comparison plans;
  for (const std::string& strategy : solver::StrategyNames()) {
    ASSIGN_OR_RETURN(TimedPlan plan, compiler->Compile({problem, strategy, time_budget_ms}));
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace

absl::Status RunCommand(const CompareFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(std::vector<solver::Problem> problems, MakeProblems(flags.planning));
  ASSIGN_OR_RETURN(double time_budget_ms, ParseTimeBudget(flags.planning.time_budget));
  TimedCompiler compiler;
  std::vector<Comparison> batches;
  for (const solver::Problem& problem : problems) {
    ASSIGN_OR_RETURN(Comparison plans, PlanWithAll(problem, time_budget_ms, &compiler));
    if (!flags.json) {
      absl::string_view gap = &problem == &problems.front() ? "" : "\n";
      RETURN_IF_ERROR(console.Print(absl::StrCat(gap, ComparisonTable(plans))));
    } else {
      batches.push_back(std::move(plans));
    }
  }
  return flags.json ? console.Print(ComparisonJson(batches)) : absl::OkStatus();
}

}  // namespace flashcp::cli

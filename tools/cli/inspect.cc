// flashcp inspect: the contents of a plan and, if asked, the time to plan it on this machine.

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/plan/verify.h"
#include "session/plan_json.h"
#include "session/request.h"
#include "session/timed_compiler.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/plan_file.h"
#include "tools/cli/progress_line.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"

namespace flashcp::cli {
namespace {

absl::StatusOr<session::TimedPlan> PlanAgain(const Plan& plan, const Console& console) {
  ProgressLine progress(console, "planning again");
  session::TimedCompiler compiler;
  compiler.Observe([&](const std::string& step) { progress.Show(step); });
  return compiler.Compile(session::RequestOf(plan));
}

// Plans the plan's inputs again, since a plan, whose bytes are equal everywhere, does not hold the
// time that it took to make. Empty, with a note why, for a plan that has no sound inputs.
std::optional<double> MeasurePlanning(const Plan& plan, const Console& console) {
  absl::Status status = VerifyPlan(plan);
  if (!status.ok()) {
    console.Note(absl::StrCat("the plan breaks a rule, planning is not timed: ", status.message()));
    return std::nullopt;
  }
  absl::StatusOr<session::TimedPlan> again = PlanAgain(plan, console);
  if (!again.ok()) {
    console.Note(absl::StrCat("the plan cannot be made again, planning is not timed: ",
                              again.status().message()));
    return std::nullopt;
  }
  if (again->plan.hash() != plan.hash()) {
    console.Note(
        absl::StrFormat("this version plans the same inputs differently (hash %016x, the "
                        "file's is %016x): another version made the file",
                        again->plan.hash(), plan.hash()));
  }
  return again->planning_ms;
}

}  // namespace

absl::Status RunCommand(const InspectFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(Plan plan, LoadPlan(flags.plan));
  std::optional<double> planning_ms;
  if (flags.timing) planning_ms = MeasurePlanning(plan, console);
  if (flags.json) return console.Print(session::PlanJson(plan, planning_ms));
  RETURN_IF_ERROR(console.Print(PlanTable(plan, flags.all_ranks)));
  if (!planning_ms) return absl::OkStatus();
  return console.Print(absl::StrCat("\nplanning: ", FormatMs(*planning_ms), " ms, measured\n"));
}

}  // namespace flashcp::cli

// flashcp verify: checks every rule of a plan file.

#include "runtime/plan/verify.h"

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/plan_file.h"

namespace flashcp::cli {

absl::Status RunCommand(const VerifyFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(Plan plan, LoadVerifiedPlan(flags.plan));
  return console.Print(
      absl::StrCat("ok: ", PlanRules().size(), " rules hold on ", plan.num_ranks(), " ranks\n"));
}

}  // namespace flashcp::cli

// Tells a file that is not a plan, which is bad input, from a plan that breaks a rule.

#include "tools/cli/plan_file.h"

#include "absl/strings/str_cat.h"
#include "runtime/plan/verify.h"
#include "support/status_macros.h"

namespace flashcp::cli {

absl::StatusOr<Plan> LoadPlan(const std::string& path) {
  absl::StatusOr<Plan> plan = Plan::Load(path);
  if (plan.ok()) return plan;
  return absl::InvalidArgumentError(plan.status().message());
}

absl::StatusOr<Plan> LoadVerifiedPlan(const std::string& path) {
  ASSIGN_OR_RETURN(Plan plan, LoadPlan(path));
  absl::Status status = VerifyPlan(plan);
  if (status.ok()) return plan;
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", status.message()));
}

}  // namespace flashcp::cli

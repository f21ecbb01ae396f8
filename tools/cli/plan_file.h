// Plan files that are named on a command line.

#ifndef FLASHCP_TOOLS_CLI_PLAN_FILE_H_
#define FLASHCP_TOOLS_CLI_PLAN_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "runtime/plan/plan.h"

namespace flashcp::cli {

// Loads a plan; every reason that keeps the file from loading is InvalidArgument.
absl::StatusOr<Plan> LoadPlan(const std::string& path);

// Loads and verifies a plan; a rule that fails is FailedPrecondition. Errors start with the path.
absl::StatusOr<Plan> LoadVerifiedPlan(const std::string& path);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_PLAN_FILE_H_

// The independent verifier: decides whether a well-formed plan computes exact attention, without
// any code or assumption of the planner. It executes the programs of all ranks on symbols (which
// token of which tensor each row holds) under the semantics of grouped sends and receives.
//
// Rules are numbered; docs/plan.md states each, errors and tests cite them.

#ifndef FLASHCP_RUNTIME_PLAN_VERIFY_H_
#define FLASHCP_RUNTIME_PLAN_VERIFY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// One rule of the verifier, for help text and for `flashcp verify`.
struct PlanRule {
  const char* number;   // "P1"
  const char* summary;  // one sentence
};
const std::vector<PlanRule>& PlanRules();

// OK, or FailedPrecondition for the first rule that fails: "P7: rank 3, instruction 2: ...",
// naming rank, instruction or tile, expected and found. Time and memory O(S log S) in the number
// of slices, tiles and layout ranges, each counted once for each range of heads that tiles and
// messages tell apart. Safe on any Plan value, however malicious.
absl::Status VerifyPlan(const Plan& plan);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PLAN_VERIFY_H_

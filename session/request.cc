// Reads the header of the plan back into the compiler's terms.

#include "session/request.h"

#include <cstdint>

#include "compiler/input/layout.h"
#include "runtime/plan/conversion.h"

namespace flashcp::session {

solver::Problem ProblemOf(const Plan& plan) {
  solver::Problem problem;
  problem.ranks = plan.num_ranks();
  problem.heads = ModelOf(*plan->heads());
  problem.dtype = ModelOf(plan->dtype());
  problem.exchange = ModelOf(plan->exchange());
  problem.slack_percent = plan->slack_percent();
  problem.cluster = ModelOf(*plan->cluster());
  problem.documents = DocumentsOf(*plan);
  return problem;
}

CompileRequest RequestOf(const Plan& plan) {
  CompileRequest request;
  request.problem = ProblemOf(plan);
  request.strategy = plan->strategy()->str();
  if (request.strategy == kLayoutStrategy) request.layout = PlacementOf(plan);
  request.time_budget_ms = plan->time_budget_ms();
  request.memory_budget_bytes = static_cast<int64_t>(plan->memory_budget_bytes());
  request.workspace_limit_bytes = static_cast<int64_t>(plan->workspace_limit_bytes());
  request.scale = plan->scale();
  return request;
}

}  // namespace flashcp::session

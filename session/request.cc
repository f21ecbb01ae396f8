// Reads the header of the plan back into the compiler's terms.

#include "session/request.h"

#include <cstdint>

#include "runtime/plan/conversion.h"

namespace flashcp::session {

CompileRequest RequestOf(const Plan& plan) {
  CompileRequest request;
  request.time_budget_ms = plan->time_budget_ms();
  request.memory_budget_bytes = static_cast<int64_t>(plan->memory_budget_bytes());
  request.workspace_limit_bytes = static_cast<int64_t>(plan->workspace_limit_bytes());
  request.strategy = plan->strategy()->str();
  solver::Problem& problem = request.problem;
  problem.ranks = plan.num_ranks();
  problem.heads = ModelOf(*plan->heads());
  problem.dtype = ModelOf(plan->dtype());
  problem.exchange = ModelOf(plan->exchange());
  problem.slack_percent = plan->slack_percent();
  request.scale = plan->scale();
  problem.cluster = ModelOf(*plan->cluster());
  problem.documents = DocumentsOf(*plan);
  return request;
}

}  // namespace flashcp::session

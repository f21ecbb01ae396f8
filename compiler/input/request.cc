// Decides whether a request is one that the compiler takes.

#include "compiler/input/request.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp {

float CompileRequest::Scale() const {
  return scale.value_or(1.0f / std::sqrt(static_cast<float>(problem.heads.dim)));
}

int64_t CompileRequest::WorkspaceLimitBytes() const {
  const int64_t memory = problem.cluster.memory_bytes;
  return workspace_limit_bytes.value_or(memory > 0 ? memory / 10 : int64_t{1} << 30);
}

absl::Status CompileRequest::CheckStrategy() const {
  if (layout.has_value() != (strategy == kLayoutStrategy)) {
    return absl::InvalidArgumentError(
        absl::StrCat("strategy is ", strategy, " and ", layout ? "a" : "no",
                     " layout is given: must be ", kLayoutStrategy, " exactly if there is one"));
  }
  if (layout) {
    const absl::Status placed = layout->Verify(problem);
    if (placed.ok()) return placed;
    return absl::InvalidArgumentError(absl::StrCat("layout: ", placed.message()));
  }
  const std::vector<std::string> names = solver::StrategyNames();
  if (std::find(names.begin(), names.end(), strategy) != names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(UnknownNameMessage("strategy", strategy, names));
}

absl::Status CompileRequest::Check() const {
  RETURN_IF_ERROR(problem.Check());
  RETURN_IF_ERROR(CheckStrategy());
  if (!(time_budget_ms >= 0 && time_budget_ms <= kMaxTimeBudgetMs)) {
    return absl::InvalidArgumentError(absl::StrCat("time budget is ", time_budget_ms,
                                                   " ms: must be from 0 to ", kMaxTimeBudgetMs));
  }
  if (memory_budget_bytes < 0 || memory_budget_bytes > kMaxMemoryBytes) {
    return absl::InvalidArgumentError(absl::StrCat("memory budget is ", memory_budget_bytes,
                                                   " bytes: must be from 0 to ", kMaxMemoryBytes));
  }
  if (WorkspaceLimitBytes() < 0 || WorkspaceLimitBytes() > kMaxMemoryBytes) {
    return absl::InvalidArgumentError(absl::StrCat("workspace limit is ", WorkspaceLimitBytes(),
                                                   " bytes: must be from 0 to ", kMaxMemoryBytes));
  }
  if (!(Scale() > 0 && std::isfinite(Scale()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("scale is ", Scale(), ": must be finite and above 0"));
  }
  return absl::OkStatus();
}

}  // namespace flashcp

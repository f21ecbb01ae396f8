// Everything that a plan is made from, as one value: the command line fills it, a cp.batch holds it
// as attributes, a plan records it and gives it back.

#ifndef FLASHCP_COMPILER_INPUT_REQUEST_H_
#define FLASHCP_COMPILER_INPUT_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/strategies.h"

namespace flashcp {

inline constexpr int kMaxTimeBudgetMs = 3'600'000;
inline constexpr int64_t kMaxMemoryBytes = int64_t{1} << 44;

// The strategy of a request whose tokens are placed already.
inline constexpr char kLayoutStrategy[] = "layout";

struct CompileRequest {
  solver::Problem problem;
  std::string strategy = "auto";  // one of solver::StrategyNames(), or kLayoutStrategy
  // Who owns which tokens, if strategies are not to decide it; there exactly with kLayoutStrategy.
  // TakeLayout() of layout.h takes it from a plan.
  std::optional<solver::Placement> layout;
  // Budget of the search of `auto`, in milliseconds of one core: a count of steps, not a clock, so
  // that plans do not depend on the machine.
  double time_budget_ms = solver::kDefaultBudgetMs;
  // Memory of each rank for K/V rows of other ranks that stay from forward to backward; what does
  // not fit is sent again.
  int64_t memory_budget_bytes = 0;
  // Memory that either pass of a rank may take besides its own tensors, 0 for no limit; without it
  // a tenth of the memory that the cluster names, or 1 GiB.
  std::optional<int64_t> workspace_limit_bytes;
  // The scale of scores before softmax; without it 1 / sqrt(head dim).
  std::optional<float> scale;

  // Returns the scale that holds, given or not.
  float Scale() const;
  // Returns the workspace limit that holds, given or not.
  int64_t WorkspaceLimitBytes() const;

  // InvalidArgument, naming the field, what was found and what is allowed.
  absl::Status Check() const;

 private:
  absl::Status CheckStrategy() const;
};

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_REQUEST_H_

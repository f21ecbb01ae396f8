// From planning flags to problems, and from problems to plans with the time that planning took.

#ifndef FLASHCP_TOOLS_CLI_PLANNING_H_
#define FLASHCP_TOOLS_CLI_PLANNING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/compile.h"
#include "compiler/solver/problem.h"
#include "runtime/plan/plan.h"
#include "tools/cli/arguments.h"

namespace flashcp::cli {

// Returns one request for each batch that the flags pick, in the order of LENGTHS; each passes
// Check(). InvalidArgument or NotFound, naming file and line or flag.
absl::StatusOr<std::vector<CompileRequest>> MakeRequests(const PlanningFlags& flags);

// Returns a note for a preset that is planned for another number of ranks than its own, if either
// spans several nodes: how many nodes that makes. Empty for any other problem.
std::string NodesNote(const solver::Problem& problem);

// The request that `plan` was made from.
CompileRequest RequestOf(const Plan& plan);

struct TimedPlan {
  Plan plan;
  double planning_ms;  // measured: all passes and emission, in a process that has planned before
  std::vector<StepTime> steps;  // of planning_ms
};

// Compiles and takes the time. Plans something tiny first, so that the first figure is as good as
// the next.
class TimedCompiler {
 public:
  TimedCompiler();
  void Observe(StepObserver observer) { compiler_.Observe(std::move(observer)); }
  absl::StatusOr<TimedPlan> Compile(const CompileRequest& request);

 private:
  Compiler compiler_;
};

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_PLANNING_H_

// The first compilation of a process pays for tables and memory that all others find ready.

#include "session/timed_compiler.h"

#include <chrono>
#include <utility>

#include "support/status_macros.h"

namespace flashcp::session {

TimedCompiler::TimedCompiler() {
  CompileRequest tiny;
  tiny.problem.documents = {{1, {}}};
  tiny.problem.ranks = 1;
  tiny.problem.cluster = *model::ClusterPreset("cpu");
  tiny.strategy = "contiguous";
  compiler_.Compile(tiny).IgnoreError();
}

absl::StatusOr<TimedPlan> TimedCompiler::Compile(const CompileRequest& request) {
  auto start = std::chrono::steady_clock::now();
  std::vector<StepTime> steps;
  ASSIGN_OR_RETURN(Plan plan, compiler_.Compile(request, &steps));
  std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  return TimedPlan{std::move(plan), elapsed.count(), std::move(steps)};
}

}  // namespace flashcp::session

// The compiler with a clock: plans, and the times that planning took.

#ifndef FLASHCP_SESSION_TIMED_COMPILER_H_
#define FLASHCP_SESSION_TIMED_COMPILER_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/compile.h"
#include "runtime/plan/plan.h"

namespace flashcp::session {

struct TimedPlan {
  Plan plan;
  double planning_ms;  // measured: all passes and emission, in a process that has planned before
  std::vector<StepTime> steps;  // of planning_ms
};

// A compiler that has planned something tiny, so that the first time that it takes is as good as
// the next.
class TimedCompiler {
 public:
  TimedCompiler();
  void Observe(StepObserver observer) { compiler_.Observe(std::move(observer)); }
  absl::StatusOr<TimedPlan> Compile(const CompileRequest& request);

 private:
  Compiler compiler_;
};

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_TIMED_COMPILER_H_

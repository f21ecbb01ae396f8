// The compiler as a function: a request goes in, a plan comes out, by way of
// the cp dialect. This header hides MLIR, so that tools and bindings compile
// without it.

#ifndef FLASHCP_COMPILER_COMPILE_H_
#define FLASHCP_COMPILER_COMPILE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/input/request.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// How long one step of a compilation took: a pass by its name, or "emit-plan".
// Measured.
struct StepTime {
  std::string name;
  double ms;
};

// Receives the name of a step as it begins.
using StepObserver = std::function<void(const std::string &step)>;

// Keeps what is worth keeping between batches (the MLIR context): make one and
// plan many batches with it. Used by one thread at a time.
class Compiler {
public:
  Compiler();
  ~Compiler();

  // Tells `observer` of every step of what is compiled from now on.
  void Observe(StepObserver observer);

  // A pure function of the request: the same bytes on every machine.
  // InvalidArgument for a request that fails Check(), ResourceExhausted for a
  // plan that its format cannot hold, with the text to show to the user.
  // `steps`, if given, receives the time of each step, in the order of the
  // pipeline.
  absl::StatusOr<Plan> Compile(const CompileRequest &request,
                               std::vector<StepTime> *steps = nullptr);

  // LLVM calls `handler` when it has no memory, instead of abort(). Called once.
  // The handler does not return; if it throws, a compiler that is at work must
  // not be used or destroyed afterwards.
  static void HandleOutOfMemory(void (*handler)());

  // The program as scheduled IR, in the text form that flashcp-opt reads.
  absl::StatusOr<std::string> CompileToIr(const CompileRequest &request);

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_COMPILE_H_

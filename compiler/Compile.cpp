// The compiler as a function: one context, kept between batches.

#include "compiler/compile.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "compiler/Pipeline.h"
#include "compiler/analysis/BatchRequest.h"
#include "compiler/emit/EmitPlan.h"
#include "compiler/emit/plan_size.h"
#include "compiler/solver/schedule.h"
#include "support/status_macros.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/ErrorHandling.h"

#include <chrono>

using namespace mlir;

namespace flashcp {

struct Compiler::State {
  State() : context(MLIRContext::Threading::DISABLED) {
    context.getOrLoadDialect<cp::CPDialect>();
  }

  /// The request as a scheduled batch inside a module.
  absl::StatusOr<OwningOpRef<ModuleOp>> schedule(const CompileRequest &request,
                                                 std::vector<StepTime> *steps);

  /// Tells the observer, if there is one, that a step begins.
  void beginStep(const std::string &step) const {
    if (observer)
      observer(step);
  }

  MLIRContext context;
  StepObserver observer;
};

namespace {

/// Returns the text of a diagnostic without the op that emitOpError begins it
/// with: a user of the compiler has no IR in which to look for it.
std::string textForUsers(const Diagnostic &diagnostic) {
  std::string text = diagnostic.str();
  StringRef rest = text;
  if (rest.consume_front("'cp."))
    return rest.substr(rest.find("' op ") + 5).str();
  return text;
}

/// Gathers the errors that ops and passes report while it lives.
class ErrorCollector {
public:
  explicit ErrorCollector(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          text += (text.empty() ? "" : "; ") + textForUsers(diagnostic);
          return success();
        }) {}

  /// Any error but those of limits is one of the passes' own, since the request
  /// has passed Check().
  absl::Status status() const {
    if (absl::StartsWith(text, solver::kWorkspaceLimitTooLow))
      return absl::InvalidArgumentError(text);
    if (absl::StartsWith(text, kPlanTooLarge))
      return absl::ResourceExhaustedError(text);
    return absl::InternalError(
        absl::StrCat("an error of the planner itself, please report it with "
                     "the command and LENGTHS: ",
                     text));
  }

private:
  std::string text;
  ScopedDiagnosticHandler handler;
};

/// Takes the time from its construction.
class StepTimer {
public:
  double elapsedMs() const {
    std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    return elapsed.count();
  }

private:
  std::chrono::steady_clock::time_point start =
      std::chrono::steady_clock::now();
};

/// Tells of each pass on the batch as it begins and, if `steps` is given, takes
/// its time.
class PassObserver : public PassInstrumentation {
public:
  PassObserver(StepObserver begin, std::vector<StepTime> *steps)
      : begin(std::move(begin)), steps(steps) {}

  // Not of the adaptor that holds these passes.
  void runBeforePass(Pass *pass, Operation *op) override {
    if (begin && isa<cp::BatchOp>(op))
      begin(pass->getArgument().str());
    timer = StepTimer();
  }
  void runAfterPass(Pass *pass, Operation *op) override {
    if (steps && isa<cp::BatchOp>(op))
      steps->push_back({pass->getArgument().str(), timer.elapsedMs()});
  }

private:
  StepObserver begin;
  std::vector<StepTime> *steps;
  StepTimer timer;
};

cp::BatchOp batchOf(ModuleOp module) {
  return *module.getBody()->getOps<cp::BatchOp>().begin();
}

} // namespace

absl::StatusOr<OwningOpRef<ModuleOp>>
Compiler::State::schedule(const CompileRequest &request,
                          std::vector<StepTime> *steps) {
  RETURN_IF_ERROR(request.Check());
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  buildBatch(builder, loc, "batch", request);

  PassManager pipeline(&context, ModuleOp::getOperationName());
  // cp-verify-phase verifies ops where it matters; after each pass would be
  // twice as often.
  pipeline.enableVerifier(false);
  buildCompilePipeline(pipeline);
  pipeline.addInstrumentation(std::make_unique<PassObserver>(observer, steps));
  ErrorCollector errors(&context);
  if (failed(pipeline.run(*module)))
    return errors.status();
  return module;
}

Compiler::Compiler() : state_(std::make_unique<State>()) {}
Compiler::~Compiler() = default;

void Compiler::HandleOutOfMemory(void (*handler)()) {
  llvm::install_bad_alloc_error_handler(
      [](void *handler, const char *, bool) {
        reinterpret_cast<void (*)()>(handler)();
      },
      reinterpret_cast<void *>(handler));
}

void Compiler::Observe(StepObserver observer) {
  state_->observer = std::move(observer);
}

absl::StatusOr<Plan> Compiler::Compile(const CompileRequest &request,
                                       std::vector<StepTime> *steps) {
  ASSIGN_OR_RETURN(OwningOpRef<ModuleOp> module,
                   state_->schedule(request, steps));
  ErrorCollector errors(&state_->context);
  state_->beginStep("emit-plan");
  StepTimer timer;
  FailureOr<Plan> plan = emitPlan(batchOf(*module));
  if (failed(plan))
    return errors.status();
  if (steps)
    steps->push_back({"emit-plan", timer.elapsedMs()});
  return *std::move(plan);
}

absl::StatusOr<std::string>
Compiler::CompileToIr(const CompileRequest &request) {
  ASSIGN_OR_RETURN(OwningOpRef<ModuleOp> module,
                   state_->schedule(request, /*steps=*/nullptr));
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  stream << "\n";
  return text;
}

} // namespace flashcp

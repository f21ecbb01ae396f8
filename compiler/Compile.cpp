// The compiler as a function: one context and one pipeline per strategy, kept
// between batches.

#include "compiler/compile.h"

#include "compiler/BatchProblem.h"
#include "compiler/EmitPlan.h"
#include "compiler/Passes.h"
#include "compiler/solver/strategies.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

#include "mlir/IR/Diagnostics.h"

using namespace mlir;

namespace flashcp {

struct Compiler::State {
  State() : context(MLIRContext::Threading::DISABLED) {
    context.getOrLoadDialect<cp::CPDialect>();
  }

  /// The pipeline of a strategy, built at its first use.
  PassManager &pipeline(const std::string &strategy) {
    std::unique_ptr<PassManager> &entry = pipelines[strategy];
    if (!entry) {
      entry =
          std::make_unique<PassManager>(&context, ModuleOp::getOperationName());
      // cp-verify-phase verifies ops where it matters; after each pass would
      // be twice as often.
      entry->enableVerifier(false);
      CompileOptions options;
      options.strategy = strategy;
      buildCompilePipeline(*entry, options);
    }
    return *entry;
  }

  /// The request as a scheduled batch inside a module.
  absl::StatusOr<OwningOpRef<ModuleOp>> schedule(const CompileRequest &request);

  MLIRContext context;
  std::map<std::string, std::unique_ptr<PassManager>> pipelines;
};

namespace {

/// Gathers the errors that ops and passes report while it lives.
class ErrorCollector {
public:
  explicit ErrorCollector(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          text += (text.empty() ? "" : "; ") + diagnostic.str();
          return success();
        }) {}

  absl::Status status() const { return absl::InternalError(text); }

private:
  std::string text;
  ScopedDiagnosticHandler handler;
};

cp::BatchOp batchOf(ModuleOp module) {
  return *module.getBody()->getOps<cp::BatchOp>().begin();
}

} // namespace

absl::StatusOr<OwningOpRef<ModuleOp>>
Compiler::State::schedule(const CompileRequest &request) {
  RETURN_IF_ERROR(request.problem.Check());
  std::vector<std::string> names = solver::StrategyNames();
  if (!llvm::is_contained(names, request.strategy))
    return absl::InvalidArgumentError(
        UnknownNameMessage("strategy", request.strategy, names));
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  buildBatch(builder, loc, "batch", request.problem);
  ErrorCollector errors(&context);
  if (failed(pipeline(request.strategy).run(*module)))
    return errors.status();
  return module;
}

Compiler::Compiler() : state_(std::make_unique<State>()) {}
Compiler::~Compiler() = default;

absl::StatusOr<Plan> Compiler::Compile(const CompileRequest &request) {
  ASSIGN_OR_RETURN(OwningOpRef<ModuleOp> module, state_->schedule(request));
  ErrorCollector errors(&state_->context);
  FailureOr<Plan> plan = emitPlan(batchOf(*module), request.strategy);
  if (failed(plan))
    return errors.status();
  return *std::move(plan);
}

absl::StatusOr<std::string>
Compiler::CompileToIr(const CompileRequest &request) {
  ASSIGN_OR_RETURN(OwningOpRef<ModuleOp> module, state_->schedule(request));
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  stream << "\n";
  return text;
}

} // namespace flashcp

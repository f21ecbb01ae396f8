// flashcp compare: every strategy on the same batches, side by side.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/solver/strategies.h"
#include "session/timed_compiler.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/planning.h"
#include "tools/cli/report.h"

namespace flashcp::cli {
namespace {

// Plans with every strategy. One that fails does not keep the others from their rows.
absl::StatusOr<Comparison> CompareStrategies(CompileRequest request, const Console& console,
                                             const CompareFlags& flags,
                                             session::TimedCompiler* compiler) {
  if (!flags.json) RETURN_IF_ERROR(console.Print(ComparisonHeader(request.problem)));
  Comparison comparison;
  for (const std::string& strategy : solver::StrategyNames()) {
    request.strategy = strategy;
    ComparedStrategy compared = Compare(strategy, compiler->Compile(request));
    if (!flags.json) RETURN_IF_ERROR(console.Print(ComparisonRow(compared)));
    if (!compared.status.ok()) {
      console.Note(absl::StrCat(strategy, ": ", compared.status.message()));
    }
    comparison.strategies.push_back(std::move(compared));
  }
  comparison.problem = std::move(request.problem);
  return comparison;
}

// Returns whether the command did its work: a plan that is too large is an answer, unless every
// strategy's is.
absl::Status Verdict(const std::vector<Comparison>& batches) {
  for (size_t b = 0; b < batches.size(); ++b) {
    bool planned = false;
    for (const ComparedStrategy& compared : batches[b].strategies) {
      planned |= compared.status.ok();
      if (!compared.status.ok() && !absl::IsResourceExhausted(compared.status)) {
        return absl::InternalError(absl::StrCat("batch ", b, ": ", compared.strategy, " failed"));
      }
    }
    if (!planned) {
      return absl::ResourceExhaustedError(
          absl::StrCat("batch ", b, ": every strategy's plan is too large: use fewer ranks"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunCommand(const CompareFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(std::vector<CompileRequest> requests, MakeRequests(flags.planning));
  std::string nodes = NodesNote(requests[0].problem);
  if (!nodes.empty()) console.Note(nodes);  // batches differ by their documents alone
  session::TimedCompiler compiler;
  std::vector<Comparison> batches;
  for (CompileRequest& request : requests) {
    if (!flags.json && !batches.empty()) RETURN_IF_ERROR(console.Print("\n"));
    ASSIGN_OR_RETURN(Comparison comparison,
                     CompareStrategies(std::move(request), console, flags, &compiler));
    batches.push_back(std::move(comparison));
  }
  if (flags.json) RETURN_IF_ERROR(console.Print(ComparisonJson(batches)));
  return Verdict(batches);
}

}  // namespace flashcp::cli

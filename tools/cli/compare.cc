// flashcp compare: every strategy on the same batches, side by side.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/solver/schedule.h"
#include "compiler/solver/strategies.h"
#include "session/timed_compiler.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/planning.h"
#include "tools/cli/report.h"

namespace flashcp::cli {
namespace {

// Plans with every strategy, and on the layout of the request if it has one. A plan that fails does
// not keep the others from their rows.
absl::StatusOr<Comparison> CompareStrategies(CompileRequest request, const Console& console,
                                             const CompareFlags& flags,
                                             session::TimedCompiler* compiler) {
  if (!flags.json) RETURN_IF_ERROR(console.Print(ComparisonHeader(request.problem)));
  Comparison comparison;
  const std::optional<solver::Placement> layout = std::exchange(request.layout, std::nullopt);
  std::vector<std::string> strategies = solver::StrategyNames();
  if (layout) strategies.push_back(kLayoutStrategy);
  for (const std::string& strategy : strategies) {
    request.strategy = strategy;
    if (strategy == kLayoutStrategy) request.layout = layout;
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

// Returns whether a batch has a plan. One that is too large, or a limit that is too low, keeps
// a strategy from its plan, but not the command from its work; any other error does.
absl::Status VerdictOf(const Comparison& comparison) {
  bool planned = false;
  std::optional<int64_t> least_mib;
  for (const ComparedStrategy& compared : comparison.strategies) {
    planned |= compared.status.ok();
    const std::optional<int64_t> mib = solver::LeastLimitMib(compared.status);
    if (mib) least_mib = std::min(*mib, least_mib.value_or(*mib));
    if (compared.status.ok() || mib || absl::IsResourceExhausted(compared.status)) continue;
    return absl::InternalError(absl::StrCat(compared.strategy, " failed"));
  }
  if (planned) return absl::OkStatus();
  if (!least_mib) {
    return absl::ResourceExhaustedError("every strategy's plan is too large: use fewer ranks");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no strategy has a plan within the workspace limit: use more ranks, or a limit "
                   "in MiB of at least ",
                   *least_mib));
}

absl::Status Verdict(const std::vector<Comparison>& batches) {
  for (size_t b = 0; b < batches.size(); ++b) {
    const absl::Status status = VerdictOf(batches[b]);
    if (status.ok()) continue;
    return absl::Status(status.code(), absl::StrCat("batch ", b, ": ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunCommand(const CompareFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(std::vector<CompileRequest> requests, MakeRequests(flags.planning));
  std::string nodes = NodesNote(requests[0].problem);
  if (!nodes.empty()) console.Note(nodes);  // batches differ by their documents alone
  console.Note(absl::StrCat("workspace of a rank: ", WorkspaceLimitText(requests[0])));
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

// flashcp compile: a plan, its IR or its JSON, for one batch.

#include "compiler/compile.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "session/plan_json.h"
#include "session/timed_compiler.h"
#include "support/files.h"
#include "support/flags.h"
#include "support/mebibytes.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/planning.h"
#include "tools/cli/progress_line.h"
#include "tools/cli/report.h"

namespace flashcp::cli {
namespace {

enum Emit { kPlan, kIr, kJson };

// Returns the path of the output; only a file or a pipe may take a binary plan.
absl::StatusOr<std::string> OutputOf(const CompileFlags& flags, int emit) {
  bool to_stdout = flags.output.empty() || flags.output == "-";
  if (emit == kPlan && (flags.output.empty() || (to_stdout && isatty(STDOUT_FILENO)))) {
    return absl::InvalidArgumentError("--output: expected a file for the plan, which is binary");
  }
  return to_stdout ? "-" : flags.output;
}

absl::StatusOr<CompileRequest> RequestOf(const PlanningFlags& flags) {
  ASSIGN_OR_RETURN(std::vector<CompileRequest> requests, MakeRequests(flags));
  if (requests.size() == 1) return std::move(requests[0]);
  return absl::InvalidArgumentError(absl::StrCat(
      "--batch: ", flags.lengths, " holds ", requests.size(),
      " batches and a plan is for one: expected --batch K, K from 0 to ", requests.size() - 1));
}

// Returns "planning 79 documents on 8 ranks by auto"
std::string WorkText(const CompileRequest& request) {
  return absl::StrCat("planning ", request.problem.documents.size(), " documents on ",
                      request.problem.ranks, " ranks by ", request.strategy);
}

// Plans with a Compiler or a session::TimedCompiler, and shows its steps.
template <typename C, typename Call>
auto PlanShown(const CompileRequest& request, const Console& console, const Call& call) {
  ProgressLine progress(console, WorkText(request));
  C compiler;
  compiler.Observe([&](const std::string& step) { progress.Show(step); });
  return call(&compiler);
}

}  // namespace

absl::Status RunCommand(const CompileFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(int emit, NameFlag("--emit", "output", flags.emit, {"plan", "ir", "json"}));
  ASSIGN_OR_RETURN(std::string output, OutputOf(flags, emit));
  ASSIGN_OR_RETURN(CompileRequest request, RequestOf(flags.planning));
  std::string nodes = NodesNote(request.problem);
  if (!nodes.empty()) console.Note(nodes);
  if (request.problem.TotalTokens() == 0) {
    console.Note("LENGTHS has no tokens: the plan is valid, and its ranks have nothing to do");
  }
  auto compile = [&](auto* compiler) { return compiler->Compile(request); };
  auto compile_to_ir = [&](Compiler* compiler) { return compiler->CompileToIr(request); };
  std::optional<session::TimedPlan> timed;
  if (emit != kIr || flags.timing) {
    ASSIGN_OR_RETURN(timed, PlanShown<session::TimedCompiler>(request, console, compile));
  }
  if (flags.timing) console.Report(TimingTable(*timed));
  if (emit == kIr) {
    ASSIGN_OR_RETURN(std::string ir, PlanShown<Compiler>(request, console, compile_to_ir));
    return WriteFile(output, ir);
  }
  if (emit == kJson) return WriteFile(output, session::PlanJson(timed->plan, timed->planning_ms));
  const Plan& plan = timed->plan;
  RETURN_IF_ERROR(plan.Save(output));
  console.Note(absl::StrFormat("%s: %d tokens on %d ranks by %s, hash %016x, %s",
                               output == "-" ? "standard output" : output,
                               request.problem.TotalTokens(), request.problem.ranks,
                               request.strategy, plan.hash(), FormatBytes(plan.bytes().size())));
  console.Note(absl::StrCat(ScheduleText(plan), "; ", WorkspaceLimitText(request)));
  if (request.layout) console.Note(LayoutText(plan));
  return absl::OkStatus();
}

}  // namespace flashcp::cli

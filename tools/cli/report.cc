// JSON and tables take their figures from the same statistics of a plan.

#include "tools/cli/report.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "compiler/solver/bounds.h"
#include "compiler/solver/schedule.h"
#include "runtime/cpu/cpu_device.h"
#include "session/plan_json.h"
#include "session/request.h"
#include "support/mebibytes.h"
#include "tools/cli/rank_table.h"
#include "tools/cli/table.h"

namespace flashcp::cli {
namespace {

using Json = nlohmann::ordered_json;

// Returns "lower bound of a step 6.967 ms (compute 6.967, communication 0.812, combined 6.967)"
std::string BoundText(const session::ModelledMs& ms) {
  return absl::StrCat("lower bound of a step ", FormatMs(ms.lower_bound), " ms (compute ",
                      FormatMs(ms.compute_bound), ", communication ",
                      FormatMs(ms.communication_bound), ", combined ", FormatMs(ms.combined_bound),
                      ")");
}

// Counts the messages of all ranks, each once, at its receiver.
uint64_t TotalMessages(const PlanStatistics& statistics) {
  uint64_t messages = 0;
  for (const RankStatistics& rank : statistics.ranks) messages += rank.receive_messages;
  return messages;
}

// Returns "131072 tokens in 79 documents on 8 ranks of h100x8, heads 32:8 of 128, bf16, exchange
// needed"
std::string Headline(const solver::Problem& problem) {
  constexpr size_t kNameWidth = 40;  // a calibrated cluster's name is longer
  const model::HeadShape& heads = problem.heads;
  return FoldItems({absl::StrFormat("%d tokens in %d documents on %d ranks of %s",
                                    problem.TotalTokens(), problem.documents.size(), problem.ranks,
                                    Shorten(problem.cluster.name, kNameWidth)),
                    absl::StrFormat("heads %d:%d of %d", heads.query, heads.key_value, heads.dim),
                    model::NameOf(problem.dtype),
                    absl::StrCat("exchange ", model::NameOf(problem.exchange))});
}

// Returns a row of compare's table, wide enough for the figures of most batches.
RowFormat ComparisonFormat() {
  return RowFormat(
      {"strategy", "work\nimbalance", "token\nimbalance", "K/V in\nmax rank", "K/V in\nall ranks",
       "messages", "step ms\n(modelled)", "above\nbound", "planning ms\n(measured)"},
      {{"flashcp-paper", "", "", "999.9 MiB", "999.9 MiB", "", "", "999.9%", ""}});
}

// Returns in a few words what kept a strategy from its plan.
absl::string_view WhyNoPlan(const absl::Status& status) {
  if (solver::LeastLimitMib(status)) return "limit too low";
  return absl::IsResourceExhausted(status) ? "plan too large" : "failed";
}

Json StrategyJson(const ComparedStrategy& compared) {
  if (!compared.status.ok()) {
    return {{"strategy", compared.strategy}, {"error", std::string(compared.status.message())}};
  }
  return {{"strategy", compared.strategy},
          {"work_imbalance", compared.statistics.work_imbalance},
          {"token_imbalance", compared.statistics.token_imbalance},
          {"recv_bytes_max", compared.statistics.receive_bytes_max},
          {"recv_bytes_total", compared.statistics.receive_bytes_total},
          {"messages", TotalMessages(compared.statistics)},
          {"modelled", session::ModelledJson(compared.modelled)},
          {"above_lower_bound", session::ModelledMs(compared.modelled).AboveBound()},
          {"planning_ms", compared.planning_ms}};
}

std::string Counted(uint64_t number, absl::string_view noun) {
  return absl::StrCat(number, " ", noun, number == 1 ? "" : "s");
}

// Returns "limit 7629 MiB" or "no limit".
std::string LimitText(const Plan& plan) {
  const uint64_t bytes = plan->workspace_limit_bytes();
  return bytes > 0 ? absl::StrCat("limit ", FormatBytes(bytes)) : "no limit";
}

// Returns a line about them.
std::string KernelsText(const Plan& plan) {
  const std::optional<CpuKernelsFound> kernels = session::FindCpuKernels(plan);
  if (!kernels) return "";
  return absl::StrCat("on this CPU kernels ", kernels->name, " take another ",
                      FormatBytes(kernels->scratch_bytes), " a rank and thread\n");
}

}  // namespace

std::string ScheduleText(const Plan& plan) {
  uint64_t workspace = 0;
  for (const RankStatistics& rank : ComputeStatistics(plan).ranks) {
    workspace = std::max(workspace, rank.workspace_bytes);
  }
  return absl::StrCat(Counted(plan->head_groups(), "head group"), ", ",
                      Counted(session::RowStages(plan), "row stage"),
                      ", workspace of a rank at most ", FormatBytes(workspace));
}

std::string LayoutText(const Plan& plan) {
  const session::ModelledMs ms(*plan->modelled());
  return absl::StrCat("modelled: step ", FormatMs(ms.step), " ms on this layout; of all layouts, ",
                      BoundText(ms));
}

std::string PlanTable(const Plan& plan, bool all_ranks) {
  PlanStatistics statistics = ComputeStatistics(plan);
  session::ModelledMs ms(*plan->modelled());
  return absl::StrCat(
      Headline(session::ProblemOf(plan)), "\nstrategy ", plan->strategy()->str(), ", scale ",
      plan->scale(), ", hash ", session::HashText(plan), ", format version ", plan->version(),
      "\nwork imbalance ", FormatRatio(statistics.work_imbalance), ", token imbalance ",
      FormatRatio(statistics.token_imbalance), " (most / mean)\nK/V received forward: at most ",
      FormatBytes(statistics.receive_bytes_max), " by a rank, ",
      FormatBytes(statistics.receive_bytes_total), " in all, ", TotalMessages(statistics),
      " messages\n", ScheduleText(plan), ", ", LimitText(plan), "\n", KernelsText(plan),
      "modelled, not measured: forward ", FormatMs(ms.forward), " ms, backward ",
      FormatMs(ms.backward), " ms, step ", FormatMs(ms.step), " ms\n", BoundText(ms), "\n\n",
      RankTable(statistics, all_ranks));
}

std::string TimingTable(const session::TimedPlan& timed) {
  double solver = 0, emission = 0;
  std::vector<std::vector<std::string>> rows = {{"step", "ms"}};
  for (const StepTime& step : timed.steps) {
    if (step.name == "cp-place-documents") solver += step.ms;
    if (step.name == "emit-plan") emission += step.ms;
    rows.push_back({step.name, FormatMs(step.ms)});
  }
  return absl::StrCat("planning ", FormatMs(timed.planning_ms), " ms, measured: solver ",
                      FormatMs(solver), ", IR ", FormatMs(timed.planning_ms - solver - emission),
                      ", emission ", FormatMs(emission), "\n", FormatTable(rows));
}

ComparedStrategy Compare(const std::string& strategy,
                         const absl::StatusOr<session::TimedPlan>& timed) {
  ComparedStrategy compared;
  compared.strategy = strategy;
  compared.status = timed.status();
  if (timed.ok()) {
    compared.statistics = ComputeStatistics(timed->plan);
    compared.modelled = *timed->plan->modelled();
    compared.planning_ms = timed->planning_ms;
  }
  return compared;
}

std::string ComparisonJson(const std::vector<Comparison>& batches) {
  Json entries = Json::array();
  for (const Comparison& comparison : batches) {
    const solver::Problem& problem = comparison.problem;
    Json strategies = Json::array();
    for (const ComparedStrategy& compared : comparison.strategies) {
      strategies.push_back(StrategyJson(compared));
    }
    entries.push_back({{"ranks", problem.ranks},
                       {"tokens", problem.TotalTokens()},
                       {"documents", problem.documents.size()},
                       {"cluster", problem.cluster.name},
                       {"exchange", model::NameOf(problem.exchange)},
                       {"strategies", std::move(strategies)}});
  }
  return session::JsonText({{"batches", std::move(entries)}});
}

std::string ComparisonHeader(const solver::Problem& problem) {
  solver::LowerBounds bounds = solver::BoundStep(problem);
  session::ModelledMs ms(
      fbs::Modelled(0, 0, bounds.compute_us, bounds.communication_us, bounds.combined_us));
  return absl::StrCat(Headline(problem), "\nmodelled: ", BoundText(ms), "\n\n",
                      ComparisonFormat().Headings());
}

std::string ComparisonRow(const ComparedStrategy& compared) {
  if (!compared.status.ok()) {
    std::string name = ComparisonFormat().Row({compared.strategy});
    name.pop_back();  // the line's end
    return absl::StrCat(name, "  ", WhyNoPlan(compared.status), "\n");
  }
  const PlanStatistics& statistics = compared.statistics;
  session::ModelledMs ms(compared.modelled);
  return ComparisonFormat().Row(
      {compared.strategy, FormatRatio(statistics.work_imbalance),
       FormatRatio(statistics.token_imbalance), FormatBytes(statistics.receive_bytes_max),
       FormatBytes(statistics.receive_bytes_total), absl::StrCat(TotalMessages(statistics)),
       FormatMs(ms.step), absl::StrFormat("%.1f%%", 100 * ms.AboveBound()),
       FormatMs(compared.planning_ms)});
}

}  // namespace flashcp::cli

#include "tools/cli/planning.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "compiler/input/cluster_file.h"
#include "compiler/input/lengths.h"
#include "compiler/input/mask.h"
#include "support/quoted.h"
#include "support/status_macros.h"
#include "tools/cli/flags.h"

namespace flashcp::cli {
namespace {

absl::StatusOr<double> ParseSlack(const std::string& text) {
  double slack;
  if (absl::SimpleAtod(text, &slack) && std::isfinite(slack) && slack >= 0 && slack <= 100) {
    return slack;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--slack: expected a percentage from 0 to 100, found ", Quoted(text)));
}

constexpr int kMaxBudgetMs = 3'600'000;

// All that flags say of a problem, without its documents.
absl::StatusOr<solver::Problem> ParseProblem(const PlanningFlags& flags) {
  solver::Problem problem;
  ASSIGN_OR_RETURN(problem.heads, ParseHeads(flags.heads, flags.head_dim));
  ASSIGN_OR_RETURN(problem.dtype, ParseDType(flags.dtype));
  ASSIGN_OR_RETURN(int exchange,
                   NameFlag("--exchange", "exchange", flags.exchange, {"needed", "all-gather"}));
  problem.exchange = static_cast<solver::Exchange>(exchange);
  ASSIGN_OR_RETURN(problem.slack_percent, ParseSlack(flags.slack));
  auto cluster = FindCluster(flags.cluster);
  RETURN_IF_ERROR(OfFlag("--cluster", cluster.status()));
  problem.cluster = *std::move(cluster);
  problem.ranks = problem.cluster.ranks;
  if (!flags.ranks.empty()) {
    ASSIGN_OR_RETURN(problem.ranks, IntegerFlag("--ranks", flags.ranks, 1, solver::kMaxRanks));
  }
  return problem;
}

solver::LinkClass LinkOf(const fbs::LinkClass& link) {
  return {link.bytes_per_us(), link.latency_us()};
}

template <typename To, typename From>
std::vector<To> VectorOf(absl::Span<const From> items) {
  return std::vector<To>(items.begin(), items.end());
}

solver::Cluster ClusterOf(const fbs::Cluster& cluster) {
  solver::Cluster result;
  result.name = cluster.name()->str();
  result.ranks_per_node = cluster.ranks_per_node();
  if (cluster.intra_node() != nullptr) result.intra_node = LinkOf(*cluster.intra_node());
  if (cluster.inter_node() != nullptr) result.inter_node = LinkOf(*cluster.inter_node());
  const fbs::TileTable& tiles = *cluster.tiles();
  result.tiles.block_rows = tiles.block_rows();
  result.tiles.block_columns = tiles.block_columns();
  result.tiles.columns = VectorOf<int>(Items(tiles.columns()));
  result.tiles.forward_us = VectorOf<double>(Items(tiles.forward_us()));
  result.tiles.backward_us = VectorOf<double>(Items(tiles.backward_us()));
  return result;
}

}  // namespace

absl::StatusOr<solver::HeadShape> ParseHeads(const std::string& text, const std::string& head_dim) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() != 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--heads: expected Q:KV, query heads and key/value heads, found ", Quoted(text)));
  }
  solver::HeadShape heads;
  ASSIGN_OR_RETURN(heads.query, IntegerFlag("--heads", parts[0], 1, solver::kMaxHeads));
  ASSIGN_OR_RETURN(heads.key_value, IntegerFlag("--heads", parts[1], 1, solver::kMaxHeads));
  if (heads.query % heads.key_value != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--heads: query heads must be a multiple of key/value heads, found ",
                     heads.query, " query heads and ", heads.key_value, " key/value heads"));
  }
  ASSIGN_OR_RETURN(heads.dim, IntegerFlag("--head-dim", head_dim, 8, 256, /*step=*/8));
  return heads;
}

absl::StatusOr<solver::DType> ParseDType(const std::string& text) {
  ASSIGN_OR_RETURN(int dtype, NameFlag("--dtype", "dtype", text, {"f32", "bf16", "f16"}));
  return static_cast<solver::DType>(dtype);
}

absl::StatusOr<std::vector<solver::Problem>> MakeProblems(const PlanningFlags& flags) {
  ASSIGN_OR_RETURN(solver::Problem problem, ParseProblem(flags));
  auto mask = ParseMask(flags.mask);
  RETURN_IF_ERROR(OfFlag("--mask", mask.status()));
  ASSIGN_OR_RETURN(std::vector<Batch> batches, ReadLengths(flags.lengths, *mask));
  if (!flags.batch.empty()) {
    ASSIGN_OR_RETURN(int64_t batch, IntegerFlag("--batch", flags.batch, 0, batches.size() - 1));
    batches = {std::move(batches[batch])};
  }
  std::vector<solver::Problem> problems;
  for (Batch& batch : batches) {
    problem.documents = std::move(batch);
    RETURN_IF_ERROR(problem.Check());
    problems.push_back(problem);
  }
  return problems;
}

std::string NodesNote(const solver::Problem& problem) {
  const solver::Cluster& cluster = problem.cluster;
  const int node = cluster.ranks_per_node;
  bool preset = solver::ClusterPreset(cluster.name).ok();
  bool one_node = std::max(problem.ranks, cluster.ranks) <= node;
  if (!preset || one_node || problem.ranks == cluster.ranks) return "";
  int nodes = (problem.ranks + node - 1) / node;
  int last = problem.ranks - (nodes - 1) * node;
  return absl::StrCat("--ranks ", problem.ranks, ": cluster ", cluster.name, " has ", cluster.ranks,
                      " ranks; this plans for ", nodes, nodes == 1 ? " node of " : " nodes of ",
                      node, last < node ? absl::StrCat(", ", last, " ranks on the last") : "");
}

absl::StatusOr<double> ParseTimeBudget(const std::string& text) {
  double budget;
  if (absl::SimpleAtod(text, &budget) && budget >= 0 && budget <= kMaxBudgetMs) return budget;
  return absl::InvalidArgumentError(absl::StrCat("--time-budget: expected milliseconds from 0 to ",
                                                 kMaxBudgetMs, ", found ", Quoted(text)));
}

absl::StatusOr<int64_t> ParseMemoryBudget(const std::string& text) {
  constexpr int kMaxMib = 1 << 24;
  double mib;
  if (absl::SimpleAtod(text, &mib) && mib >= 0 && mib <= kMaxMib) {
    return static_cast<int64_t>(mib * (1 << 20));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--memory-budget: expected MiB from 0 to ", kMaxMib, ", found ", Quoted(text)));
}

CompileRequest RequestOf(const Plan& plan) {
  CompileRequest request;
  request.time_budget_ms = plan->time_budget_ms();
  request.memory_budget_bytes = static_cast<int64_t>(plan->memory_budget_bytes());
  request.strategy = plan->strategy()->str();
  solver::Problem& problem = request.problem;
  problem.ranks = plan.num_ranks();
  problem.heads = {static_cast<int>(plan->heads()->query()),
                   static_cast<int>(plan->heads()->key_value()),
                   static_cast<int>(plan->heads()->dim())};
  problem.dtype = static_cast<solver::DType>(plan->dtype());
  problem.exchange = static_cast<solver::Exchange>(plan->exchange());
  problem.slack_percent = plan->slack_percent();
  problem.cluster = ClusterOf(*plan->cluster());
  for (const fbs::Document& document : Items(plan->documents())) {
    auto kind = static_cast<solver::MaskKind>(document.mask());
    problem.documents.push_back({document.length(), {kind, document.window()}});
  }
  return request;
}

TimedCompiler::TimedCompiler() {
  CompileRequest tiny;
  tiny.problem.documents = {{1, {}}};
  tiny.problem.ranks = 1;
  tiny.problem.cluster = *solver::ClusterPreset("cpu");
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

}  // namespace flashcp::cli

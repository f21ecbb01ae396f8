// Each option of a batch is one entry of a table: its name, its help, and how its text is read.

#include "compiler/input/batch_options.h"

#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "compiler/input/cluster_file.h"
#include "compiler/input/layout.h"
#include "model/mask.h"
#include "runtime/plan/conversion.h"
#include "runtime/plan/verify.h"
#include "support/flags.h"
#include "support/quoted.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

using Name = absl::string_view;
using Text = absl::string_view;

// The names of an enumeration, in the order of its numbers.
template <size_t kCount>
std::vector<std::string> NamesOf(const char* const (&names)[kCount]) {
  return {names, names + kCount};
}

constexpr int kMib = 1 << 20;

constexpr IntegerRange kRanks = {1, model::kMaxRanks};
constexpr IntegerRange kHeads = {1, model::kMaxHeads};
constexpr IntegerRange kHeadDims = {8, 256, /*step=*/8};
// Ranges of numbers that need not be integers.
constexpr IntegerRange kSlack = {0, 100};
constexpr IntegerRange kTimeBudget = {0, kMaxTimeBudgetMs};
constexpr IntegerRange kMemoryMib = {0, kMaxMemoryBytes / kMib};

// Reads a number of a range, called `what` in the error.
absl::StatusOr<double> ReadNumber(Name name, Text text, absl::string_view what,
                                  const IntegerRange& range) {
  double number;
  if (absl::SimpleAtod(text, &number) && number >= range.min && number <= range.max) return number;
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected ", what, " from ",
                                                 RangeText(range), ", found ", Quoted(text)));
}

absl::Status ReadRanks(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(settings->request.problem.ranks, IntegerFlag(name, text, kRanks));
  return absl::OkStatus();
}

absl::Status ReadHeads(Name name, Text text, BatchSettings* settings) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() != 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": expected Q:KV, query heads and key/value heads, found ", Quoted(text)));
  }
  model::HeadShape& heads = settings->request.problem.heads;
  ASSIGN_OR_RETURN(heads.query, IntegerFlag(name, parts[0], kHeads));
  ASSIGN_OR_RETURN(heads.key_value, IntegerFlag(name, parts[1], kHeads));
  if (heads.query % heads.key_value == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": query heads must be a multiple of key/value heads, found ", heads.query,
                   " query heads and ", heads.key_value, " key/value heads"));
}

absl::Status ReadHeadDim(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(settings->request.problem.heads.dim, IntegerFlag(name, text, kHeadDims));
  return absl::OkStatus();
}

absl::Status ReadScale(Name name, Text text, BatchSettings* settings) {
  float scale;
  if (!absl::SimpleAtof(text, &scale) || !std::isfinite(scale) || scale <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": expected a finite float32 above 0, found ", Quoted(text)));
  }
  settings->request.scale = scale;
  return absl::OkStatus();
}

absl::Status ReadDType(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(int dtype, NameFlag(name, "dtype", text, NamesOf(model::kDTypeNames)));
  settings->request.problem.dtype = static_cast<model::DType>(dtype);
  return absl::OkStatus();
}

absl::Status ReadMask(Name name, Text text, BatchSettings* settings) {
  absl::StatusOr<model::Mask> mask = model::ParseMask(text);
  RETURN_IF_ERROR(OfFlag(name, mask.status()));
  settings->mask = *mask;
  return absl::OkStatus();
}

absl::Status ReadCluster(Name name, Text text, BatchSettings* settings) {
  absl::StatusOr<model::Cluster> cluster = FindCluster(std::string(text));
  RETURN_IF_ERROR(OfFlag(name, cluster.status()));
  settings->request.problem.cluster = *std::move(cluster);
  return absl::OkStatus();
}

absl::Status ReadExchange(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(int exchange, NameFlag(name, "exchange", text, NamesOf(model::kExchangeNames)));
  settings->request.problem.exchange = static_cast<model::Exchange>(exchange);
  return absl::OkStatus();
}

absl::Status ReadSlack(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(settings->request.problem.slack_percent,
                   ReadNumber(name, text, "a percentage", kSlack));
  return absl::OkStatus();
}

absl::Status ReadStrategy(Name name, Text text, BatchSettings* settings) {
  RETURN_IF_ERROR(NameFlag(name, "strategy", text, solver::StrategyNames()).status());
  settings->request.strategy = std::string(text);
  return absl::OkStatus();
}

absl::Status ReadTimeBudget(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(settings->request.time_budget_ms,
                   ReadNumber(name, text, "milliseconds", kTimeBudget));
  return absl::OkStatus();
}

absl::Status ReadMemoryBudget(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(double mib, ReadNumber(name, text, "MiB", kMemoryMib));
  settings->request.memory_budget_bytes = static_cast<int64_t>(mib * kMib);
  return absl::OkStatus();
}

absl::Status ReadWorkspaceLimit(Name name, Text text, BatchSettings* settings) {
  ASSIGN_OR_RETURN(double mib, ReadNumber(name, text, "MiB", kMemoryMib));
  // One above 0 is never none.
  settings->request.workspace_limit_bytes = static_cast<int64_t>(std::ceil(mib * kMib));
  return absl::OkStatus();
}

absl::Status ReadLayoutOf(Name name, Text text, BatchSettings* settings) {
  absl::StatusOr<Plan> plan = Plan::Load(std::string(text));
  RETURN_IF_ERROR(OfFlag(name, plan.status()));
  const std::string file = absl::StrCat(name, ": ", text);
  RETURN_IF_ERROR(OfFlag(file, VerifyPlan(*plan)));
  settings->layout = GivenLayout{*std::move(plan), file};
  return absl::OkStatus();
}

std::vector<BatchOption> MakeOptions() {
  return {
      {"ranks", "N", "",
       absl::StrCat("number of ranks of the context-parallel group, ", RangeText(kRanks),
                    "; without it the cluster's"),
       ReadRanks},
      {"heads", "Q:KV", "32:8",
       absl::StrCat("number of query heads, and of key/value heads, each ", RangeText(kHeads),
                    "; Q is a multiple of KV"),
       ReadHeads},
      {"head-dim", "D", "128", absl::StrCat("elements of one head, ", RangeText(kHeadDims)),
       ReadHeadDim},
      {"scale", "X", "",
       "scale of scores before softmax, a finite float32 above 0; without it 1 / sqrt(D)",
       ReadScale},
      {"dtype", "f32|bf16|f16", "bf16", "element type of Q, K, V and O", ReadDType},
      {"mask", model::MaskNames(), "causal",
       absl::StrCat("mask of documents that do not name their own; ", model::MaskHelp()), ReadMask},
      {"cluster", "PRESET|FILE.json", "h100x8",
       absl::StrCat("where the plan will run: a file, or one of ",
                    absl::StrJoin(model::ClusterPresetNames(), ", ")),
       ReadCluster},
      {"exchange", "needed|all-gather", "needed",
       "which K/V rows a rank gets: those it attends to, or all", ReadExchange},
      {"slack", "PERCENT", "0",
       absl::StrCat("tokens that a rank may own above its equal share, ", RangeText(kSlack)),
       ReadSlack},
      {"time-budget", "MS", "20",
       absl::StrCat("how long strategy auto searches, ", RangeText(kTimeBudget),
                    "; milliseconds of one core, counted in steps"),
       ReadTimeBudget},
      {"strategy", "NAME", "auto",
       absl::StrCat("rule that places tokens on ranks: one of ",
                    absl::StrJoin(solver::StrategyNames(), ", ")),
       ReadStrategy},
      {"memory-budget", "MIB", "0",
       absl::StrCat("memory of a rank for K/V rows of others that stay from forward to backward, "
                    "instead of being sent again; ",
                    RangeText(kMemoryMib)),
       ReadMemoryBudget},
      {"workspace-limit", "MIB", "",
       absl::StrCat("memory that a rank may take besides its own tensors, in either pass, ",
                    RangeText(kMemoryMib),
                    ", 0 for no limit; without it a tenth of the memory that the cluster names, or "
                    "1024"),
       ReadWorkspaceLimit},
      {"layout-of", "PLAN", "",
       "a plan of the same lengths, such as that of another mask: tokens stay on its ranks, which "
       "makes LENGTHS and --ranks optional and replaces --strategy and --slack",
       ReadLayoutOf},
  };
}

}  // namespace

const std::vector<BatchOption>& BatchOptions() {
  static const auto& options = *new std::vector<BatchOption>(MakeOptions());
  return options;
}

BatchTexts PresetBatchTexts() {
  BatchTexts texts;
  for (const BatchOption& option : BatchOptions()) texts[option.name] = option.preset;
  return texts;
}

absl::StatusOr<BatchSettings> ReadBatchOptions(absl::string_view prefix, const BatchTexts& texts) {
  BatchSettings settings;
  settings.request.problem.ranks = 0;
  for (const BatchOption& option : BatchOptions()) {
    auto text = texts.find(option.name);
    if (text == texts.end() || text->second.empty()) continue;
    RETURN_IF_ERROR(option.read(absl::StrCat(prefix, option.name), text->second, &settings));
  }
  return settings;
}

Batch DocumentsOfLayout(const BatchSettings& settings) {
  Batch documents = DocumentsOf(*settings.layout->plan);
  for (model::Document& document : documents) document.mask = settings.mask;
  return documents;
}

absl::StatusOr<CompileRequest> MakeRequest(const BatchSettings& settings, Batch documents) {
  const std::optional<GivenLayout>& layout = settings.layout;
  CompileRequest request = settings.request;
  solver::Problem& problem = request.problem;
  problem.documents = std::move(documents);
  if (problem.ranks == 0) {
    problem.ranks = layout ? layout->plan.num_ranks() : problem.cluster.ranks;
  }
  if (layout) RETURN_IF_ERROR(OfFlag(layout->name, TakeLayout(layout->plan, &request)));
  RETURN_IF_ERROR(request.Check());
  return request;
}

}  // namespace flashcp

// JSON takes its figures from the statistics that tables take theirs from.

#include "session/plan_json.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/plan/statistics.h"

namespace flashcp::session {

using Json = nlohmann::ordered_json;

namespace {

Json RankJson(const Plan& plan, int rank, const RankStatistics& statistics) {
  Json layout = Json::array();
  for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
    layout.push_back(
        {{"document", range.document()}, {"begin", range.begin()}, {"end", range.end()}});
  }
  return {{"rank", rank},
          {"tokens", statistics.tokens},
          {"pairs", statistics.pairs},
          {"recv_bytes_forward", statistics.receive_bytes_forward},
          {"send_bytes_forward", statistics.send_bytes_forward},
          {"recv_bytes_backward", statistics.receive_bytes_backward},
          {"send_bytes_backward", statistics.send_bytes_backward},
          {"messages", statistics.messages},
          {"segments", statistics.segments},
          {"peak_bytes", statistics.peak_bytes},
          {"forward_peak_bytes", statistics.forward_peak_bytes},
          {"saved_bytes", statistics.saved_bytes},
          {"workspace_bytes", statistics.workspace_bytes},
          {"layout", std::move(layout)}};
}

}  // namespace

Json ModelledJson(const fbs::Modelled& modelled) {
  ModelledMs ms(modelled);
  return {{"forward_ms", ms.forward},
          {"backward_ms", ms.backward},
          {"step_ms", ms.step},
          {"lower_bound_ms", ms.lower_bound},
          {"compute_bound_ms", ms.compute_bound},
          {"communication_bound_ms", ms.communication_bound},
          {"combined_bound_ms", ms.combined_bound}};
}

std::string JsonText(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string HashText(const Plan& plan) { return absl::StrFormat("%016x", plan.hash()); }

uint32_t RowStages(const Plan& plan) {
  uint32_t stages = 0;
  if (plan.num_ranks() == 0) return stages;
  for (const fbs::Instruction& instruction :
       Items(plan->ranks()->Get(0)->forward()->instructions())) {
    stages = std::max(stages, instruction.stage());
  }
  return stages;
}

std::optional<CpuKernelsFound> FindCpuKernels(const Plan& plan) {
  absl::StatusOr<CpuKernelsFound> kernels = DescribeCpuKernels(KernelSpecOf(plan));
  if (!kernels.ok()) return std::nullopt;
  return *std::move(kernels);
}

std::string PlanJson(const Plan& plan, std::optional<double> planning_ms) {
  PlanStatistics statistics = ComputeStatistics(plan);
  const fbs::HeadShape& heads = *plan->heads();
  const std::optional<CpuKernelsFound> kernels = FindCpuKernels(plan);
  Json ranks = Json::array();
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    ranks.push_back(RankJson(plan, rank, statistics.ranks[rank]));
  }
  Json json = {{"version", plan->version()},
               {"hash", HashText(plan)},
               {"strategy", plan->strategy()->str()},
               {"exchange", model::NameOf(ModelOf(plan->exchange()))},
               {"cluster", plan->cluster()->name()->str()},
               {"scale", plan->scale()},
               {"slack_percent", plan->slack_percent()},
               {"time_budget_ms", plan->time_budget_ms()},
               {"memory_budget_bytes", plan->memory_budget_bytes()},
               {"workspace_limit_bytes", plan->workspace_limit_bytes()},
               {"head_groups", plan->head_groups()},
               {"row_stages", RowStages(plan)},
               {"ranks", plan.num_ranks()},
               {"tokens", statistics.tokens},
               {"documents", Items(plan->documents()).size()},
               {"heads", {{"q", heads.query()}, {"kv", heads.key_value()}, {"dim", heads.dim()}}},
               {"dtype", model::NameOf(ModelOf(plan->dtype()))},
               {"cpu_scratch_bytes", kernels ? Json(kernels->scratch_bytes) : Json()},
               {"per_rank", std::move(ranks)},
               {"work_imbalance", statistics.work_imbalance},
               {"token_imbalance", statistics.token_imbalance},
               {"recv_bytes_max", statistics.receive_bytes_max},
               {"recv_bytes_total", statistics.receive_bytes_total},
               {"modelled", ModelledJson(*plan->modelled())},
               {"planning_ms", planning_ms ? Json(*planning_ms) : Json()}};
  return JsonText(json);
}

}  // namespace flashcp::session

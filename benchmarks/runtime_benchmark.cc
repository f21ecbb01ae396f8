// Measures what the runtime adds to kernels and links: the executor's time, bytes on the wire,
// memory, and how much of the transfers hides behind compute.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "benchmarks/distributions.h"
#include "benchmarks/link_model.h"
#include "benchmarks/runtime_run.h"
#include "compiler/compile.h"
#include "compiler/solver/strategies.h"
#include "model/cluster.h"
#include "runtime/plan/statistics.h"
#include "support/command_line.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

struct PlanCase {
  int64_t tokens = 1 << 17;
  int documents = 100;
  int ranks = 8;
  model::HeadShape heads;
  std::string strategy = "auto";
  model::Mask mask;
  int64_t memory_budget_bytes = 0;
  std::optional<int64_t> workspace_limit_bytes;
};

absl::StatusOr<Plan> CompileCase(const PlanCase& plan_case, const model::Cluster& cluster) {
  CompileRequest request;
  request.strategy = plan_case.strategy;
  request.memory_budget_bytes = plan_case.memory_budget_bytes;
  request.workspace_limit_bytes = plan_case.workspace_limit_bytes;
  request.problem.ranks = plan_case.ranks;
  request.problem.heads = plan_case.heads;
  request.problem.cluster = cluster;
  ASSIGN_OR_RETURN(Distribution lengths,
                   MakeDistribution(absl::StrCat("documents:", plan_case.documents)));
  for (int64_t length : lengths.Sequence(plan_case.tokens, plan_case.ranks, /*index=*/1)) {
    request.problem.documents.push_back({length, plan_case.mask});
  }
  Compiler compiler;
  return compiler.Compile(request);
}

model::Cluster H100() { return model::ClusterPreset("h100x8").value(); }

// CPU time of the ranks' threads: forward, backward and both, the step.
void PrintOverhead(const char* transport, const Plan& plan, const std::vector<RankMeasure>& ranks) {
  double step_us = 0, cpu_us = 0;
  uint64_t instructions = 0, step_most = 0;
  auto print = [&](const char* pass, double us, uint64_t count, uint64_t most, double modelled) {
    std::printf(
        "overhead %-8s %-16s %3lu instructions %8.2f us each, %6.2f%% of %.0f us modelled\n", pass,
        transport, most, us / count, 100 * us / count * most / modelled, modelled);
  };
  for (bool backward : {false, true}) {
    double pass_us = 0;
    uint64_t count = 0, most = 0;
    for (const RankMeasure& rank : ranks) {
      const PassMeasure& pass = backward ? rank.backward : rank.forward;
      pass_us += pass.cpu_us;
      count += pass.instructions;
      most = std::max(most, pass.instructions);
    }
    const double model_us =
        backward ? plan->modelled()->backward_us() : plan->modelled()->forward_us();
    print(backward ? "backward" : "forward", pass_us, count, most, model_us);
    step_us += model_us, cpu_us += pass_us, instructions += count, step_most += most;
  }
  print("step", cpu_us, instructions, step_most, step_us);
}

absl::Status Overhead() {
  ASSIGN_OR_RETURN(Plan plan, CompileCase({}, H100()));
  RunConfig config;
  config.empty_kernels = true;
  config.steps = 2000;
  config.messages = Messages::kNone;
  ASSIGN_OR_RETURN(std::vector<RankMeasure> ranks, MeasureRun(plan, config));
  PrintOverhead("no messages", plan, ranks);
  // Messages of a few bytes: the cost of matching and waiting without that of copying.
  PlanCase one_head;
  one_head.heads = {1, 1, 8};
  ASSIGN_OR_RETURN(Plan small, CompileCase(one_head, H100()));
  config.messages = Messages::kAll;
  ASSIGN_OR_RETURN(ranks, MeasureRun(small, config));
  PrintOverhead("threads, 1 head", plan, ranks);
  config.steps = 5;
  ASSIGN_OR_RETURN(ranks, MeasureRun(plan, config));
  PrintOverhead("threads, memcpy", plan, ranks);
  return absl::OkStatus();
}

// Rows that queries of a rank see and that it does not own, counted token by token.
uint64_t NeededRows(const Plan& plan, int rank) {
  absl::Span<const fbs::Document> documents = Items(plan->documents());
  uint64_t needed = 0;
  for (uint32_t d = 0; d < documents.size(); ++d) {
    const fbs::Document& document = documents[d];
    std::vector<char> seen(document.length()), owned(document.length());
    for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
      if (range.document() != d) continue;
      std::fill(owned.begin() + range.begin(), owned.begin() + range.end(), true);
      // Neighbouring queries see neighbouring keys.
      const int64_t begin = std::max<int64_t>(0, int64_t{range.begin()} + document.band().lower());
      const int64_t end =
          std::min<int64_t>(document.length(), int64_t{range.end()} + document.band().upper());
      std::fill(seen.begin() + begin, seen.begin() + end, true);
    }
    for (size_t i = 0; i < seen.size(); ++i) needed += seen[i] && !owned[i];
  }
  return needed;
}

// Rows that forward leaves to backward, by the plan's buffers.
uint64_t SavedRows(const Plan& plan, int rank) {
  uint64_t saved = 0;
  for (const fbs::Buffer& buffer : Items(plan->ranks()->Get(rank)->buffers())) {
    if (buffer.kind() == fbs::BufferKind::saved_key) saved += buffer.rows();
  }
  return saved;
}

// Counts bytes in the transport; the plan's and the needed ones are to be the same.
absl::Status PlanBytes(const char* name, const PlanCase& plan_case) {
  ASSIGN_OR_RETURN(Plan plan, CompileCase(plan_case, H100()));
  RunConfig config;
  config.empty_kernels = true;
  ASSIGN_OR_RETURN(std::vector<RankMeasure> ranks, MeasureRun(plan, config));
  const PlanStatistics statistics = ComputeStatistics(plan);
  uint64_t wire = 0, planned = 0, needed = 0, wire_back = 0, planned_back = 0, needed_back = 0;
  const uint64_t row_bytes = 2 * plan_case.heads.key_value * plan_case.heads.dim * 2;
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    wire += ranks[rank].forward.receive_bytes;
    wire_back += ranks[rank].backward.receive_bytes;
    planned += statistics.ranks[rank].receive_bytes_forward;
    planned_back += statistics.ranks[rank].receive_bytes_backward;
    const uint64_t rows = NeededRows(plan, rank);
    needed += rows * row_bytes;
    // K/V rows that were not saved move again, and gradients of all come home.
    needed_back += (2 * rows - SavedRows(plan, rank)) * row_bytes;
  }
  const bool equal =
      wire == planned && wire == needed && wire_back == planned_back && wire_back == needed_back;
  std::printf("bytes %-8s %-14s wire %9lu plan %9lu needed %9lu, backward %9lu %9lu %9lu: %s\n",
              name, plan_case.strategy.c_str(), wire, planned, needed, wire_back, planned_back,
              needed_back, equal ? "equal" : "DIFFERENT");
  return absl::OkStatus();
}

absl::Status Bytes() {
  PlanCase plan_case;
  plan_case.heads = {4, 2, 8};
  struct NamedMask {
    const char* name;
    model::Mask mask;
  };
  const NamedMask masks[] = {
      {"causal", {}}, {"full", model::Mask::Full()}, {"window", model::Mask::Window(1000)}};
  for (const NamedMask& named : masks) {
    plan_case.mask = named.mask;
    for (const std::string& strategy : solver::StrategyNames()) {
      plan_case.strategy = strategy;
      RETURN_IF_ERROR(PlanBytes(named.name, plan_case));
    }
  }
  plan_case.mask = {};
  plan_case.strategy = "per-doc";
  // Room for half of what a rank receives.
  ASSIGN_OR_RETURN(Plan plan, CompileCase(plan_case, H100()));
  plan_case.memory_budget_bytes = ComputeStatistics(plan).ranks[0].receive_bytes_forward / 2;
  return PlanBytes("saved", plan_case);
}

// Compares what ranks take with what the plan says.
absl::Status Memory(std::optional<int64_t> workspace_limit_bytes) {
  PlanCase plan_case;
  plan_case.workspace_limit_bytes = workspace_limit_bytes;
  ASSIGN_OR_RETURN(Plan plan, CompileCase(plan_case, H100()));
  RunConfig config;
  config.empty_kernels = true;
  ASSIGN_OR_RETURN(std::vector<RankMeasure> ranks, MeasureRun(plan, config));
  const PlanStatistics statistics = ComputeStatistics(plan);
  double worst = 0;
  uint64_t most = 0;
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const uint64_t found = ranks[rank].tensor_bytes + ranks[rank].allocated_bytes;
    const double predicted = statistics.ranks[rank].peak_bytes;
    most = std::max(most, found);
    worst = std::max(worst, std::abs(found / predicted - 1));
  }
  std::printf(
      "memory of the fullest rank %.1f MB, head groups %u, largest difference from the plan "
      "%.3f%%\n",
      most / 1e6, plan->head_groups(), 100 * worst);
  return absl::OkStatus();
}

double BusyUs(const std::vector<TraceSpan>& spans,
              absl::Span<const fbs::Instruction> instructions) {
  double busy = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    const fbs::Instruction& instruction = instructions[i % instructions.size()];  // of any round
    if (instruction.stream() != fbs::Stream::compute) continue;
    busy += (spans[i].end_ns - spans[i].begin_ns) / 1e3;
  }
  return busy;
}

// Compute and transfers of the rank where the larger of them is largest.
struct Bound {
  double compute_us = 0, transfer_us = 0;
  double us() const { return std::max(compute_us, transfer_us); }
};

Bound BoundOf(const Plan& plan, const std::vector<RankMeasure>& ranks, bool backward,
              const model::LinkClass& link) {
  Bound bound;
  for (int r = 0; r < plan.num_ranks(); ++r) {
    const PassMeasure& pass = backward ? ranks[r].backward : ranks[r].forward;
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(r);
    Bound rank;
    rank.compute_us = BusyUs(pass.spans, backward ? Items(rank_plan.backward()->instructions())
                                                  : Items(rank_plan.forward()->instructions()));
    rank.transfer_us = std::max(pass.send_bytes, pass.receive_bytes) / link.bytes_per_us;
    if (rank.us() > bound.us()) bound = rank;
  }
  return bound;
}

// Kernel times as this machine has them, and a link on which transfers take `ratio` of compute.
absl::Status Overlap(const model::HeadShape& heads, double ratio, const model::Cluster& measured,
                     double compute_us, double bytes) {
  model::Cluster cluster = measured;
  cluster.intra_node = {bytes / (ratio * compute_us), /*latency_us=*/20};
  ASSIGN_OR_RETURN(Plan plan, CompileCase({2048, 2, 2, heads, "zigzag"}, cluster));
  RunConfig config;
  config.steps = 3;
  LinkModel link(2, cluster.intra_node), off_link(2, cluster.intra_node);
  config.model = &link;
  ASSIGN_OR_RETURN(std::vector<RankMeasure> on, MeasureRun(plan, config));
  config.model = &off_link;
  config.messages = Messages::kAwaited;
  ASSIGN_OR_RETURN(std::vector<RankMeasure> off, MeasureRun(plan, config));
  for (bool backward : {false, true}) {
    const Bound bound = BoundOf(plan, on, backward, cluster.intra_node);
    auto step = [&](const RankMeasure& rank) {
      return (backward ? rank.backward : rank.forward).wall_us;
    };
    std::printf(
        "overlap %-8s transfers/compute %4.2f (asked %4.2f): compute %7.1f ms, transfers %7.1f ms, "
        "step %7.1f ms = %.3f of the larger; overlap off %7.1f ms\n",
        backward ? "backward" : "forward", bound.transfer_us / bound.compute_us, ratio,
        bound.compute_us / 1e3, bound.transfer_us / 1e3, step(on[0]) / 1e3,
        step(on[0]) / bound.us(), step(off[0]) / 1e3);
  }
  return absl::OkStatus();
}

absl::Status Overlaps() {
  const model::HeadShape heads = {16, 8, 64};
  model::Cluster cluster = model::ClusterPreset("cpu").value();
  ASSIGN_OR_RETURN(Plan plan, CompileCase({2048, 2, 2, heads, "zigzag"}, cluster));
  RunConfig config;
  config.steps = 2;
  ASSIGN_OR_RETURN(std::vector<RankMeasure> ranks, MeasureRun(plan, config));
  const Bound forward = BoundOf(plan, ranks, false, {1e12, 0});
  const Bound backward = BoundOf(plan, ranks, true, {1e12, 0});
  // The preset's kernel table, scaled to what was measured: one factor for each pass.
  for (double& us : cluster.tiles.forward_us) {
    us *= forward.compute_us / plan->modelled()->forward_us();
  }
  for (double& us : cluster.tiles.backward_us) {
    us *= backward.compute_us / plan->modelled()->backward_us();
  }
  double bytes = 0;
  for (const RankMeasure& rank : ranks) {
    bytes = std::max<double>(bytes, rank.forward.receive_bytes + rank.backward.receive_bytes);
  }
  for (double ratio : {0.5, 0.8, 1.0, 1.2, 1.4, 2.0}) {
    RETURN_IF_ERROR(
        Overlap(heads, ratio, cluster, forward.compute_us + backward.compute_us, bytes));
  }
  return absl::OkStatus();
}

absl::Status RunAll() {
  RETURN_IF_ERROR(Overhead());
  RETURN_IF_ERROR(Bytes());
  RETURN_IF_ERROR(Memory(/*workspace_limit_bytes=*/std::nullopt));
  RETURN_IF_ERROR(Memory(/*workspace_limit_bytes=*/200 << 20));
  return Overlaps();
}

}  // namespace
}  // namespace flashcp::benchmarks

int main(int argc, char** argv) {
  CLI::App app(
      "What the runtime adds to kernels and links: time, bytes, memory, and how much of transfers "
      "hides behind compute. Measures for minutes.");
  if (std::optional<int> code = flashcp::ParseCommandLine(argc, argv, &app)) return *code;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return flashcp::Finish("runtime_benchmark", flashcp::benchmarks::RunAll());
}

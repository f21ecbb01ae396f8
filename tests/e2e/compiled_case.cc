// Compiles a case, verifies its plan and compares its step with the reference.

#include "tests/e2e/compiled_case.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/place_for_schedule.h"
#include "compiler/solver/schedule.h"
#include "gtest/gtest.h"
#include "model/cluster.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/plan/statistics.h"
#include "runtime/plan/verify.h"
#include "tests/e2e/record_plans.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_plan.h"

namespace flashcp::testing {
namespace {

struct BatchWithReference {
  TestBatch batch;
  DenseResult reference;
  DenseGradients gradients;
};

// The batch of a plan and its reference, computed once for all plans of the same problem.
const BatchWithReference& BatchOf(const Plan& plan) {
  static auto& batches = *new std::map<std::string, std::unique_ptr<BatchWithReference>>;
  const KernelSpec spec = KernelSpecOf(plan);
  std::vector<model::Document> documents = DocumentsOf(*plan);
  std::string name = absl::StrCat(static_cast<int>(spec.element), " ", spec.query_heads, " ",
                                  spec.key_value_heads, " ", spec.dim, " ", spec.scale);
  for (const model::Document& document : documents) {
    absl::StrAppend(&name, ", ", document.length, " ", model::MaskText(document.mask));
  }
  std::unique_ptr<BatchWithReference>& entry = batches[name];
  if (entry == nullptr) {
    TestBatch batch(std::move(documents), spec, /*seed=*/batches.size());
    DenseResult reference = batch.Reference();
    DenseGradients gradients = batch.ReferenceGradients(reference);
    entry.reset(
        new BatchWithReference{std::move(batch), std::move(reference), std::move(gradients)});
  }
  return *entry;
}

// Relays send what they received, which is no matter of the placement: with them, only what all
// ranks send together follows from it.
void ExpectStatisticsOf(const solver::Problem& problem, const solver::Placement& placement,
                        const Plan& plan) {
  const solver::PlacementCost cost = solver::Evaluate(problem, placement);
  const PlanStatistics statistics = ComputeStatistics(plan);
  const int ranks_per_node = plan->cluster()->ranks_per_node();
  const bool relayed = 1 < ranks_per_node && ranks_per_node < plan.num_ranks();
  uint64_t sent = 0;
  ASSERT_EQ(statistics.ranks.size(), cost.ranks.size());
  for (size_t rank = 0; rank < cost.ranks.size(); ++rank) {
    SCOPED_TRACE(absl::StrCat("rank ", rank));
    const RankStatistics& found = statistics.ranks[rank];
    const solver::RankCost& expected = cost.ranks[rank];
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.pairs, expected.pairs);
    EXPECT_EQ(found.segments, expected.segments);
    EXPECT_EQ(found.receive_bytes_forward, expected.receive_bytes_forward);
    sent += found.send_bytes_forward;
    if (relayed) continue;
    EXPECT_EQ(found.send_bytes_forward, expected.send_bytes_forward);
    EXPECT_EQ(found.receive_bytes_backward, expected.receive_bytes_backward);
    EXPECT_EQ(found.send_bytes_backward, expected.send_bytes_backward);
  }
  EXPECT_EQ(sent, statistics.receive_bytes_total);
  EXPECT_DOUBLE_EQ(statistics.work_imbalance, cost.WorkImbalance());
  EXPECT_DOUBLE_EQ(statistics.token_imbalance, cost.TokenImbalance());
  int stages = 0;
  for (const fbs::Instruction& instruction :
       Items(plan->ranks()->Get(0)->forward()->instructions())) {
    stages = std::max<int>(stages, instruction.stage());
  }
  const solver::Schedule schedule =
      solver::ModelSchedule(solver::StageLoads(problem, placement), plan->head_groups(), stages);
  EXPECT_DOUBLE_EQ(plan->modelled()->forward_us(), schedule.forward_us);
  EXPECT_DOUBLE_EQ(plan->modelled()->backward_us(), schedule.backward_us);
}

void ExpectStatisticsOf(const CompileRequest& request, const Plan& plan) {
  absl::StatusOr<solver::Placement> placement =
      request.layout
          ? *request.layout
          : solver::PlaceForSchedule(request.strategy, request.problem, request.time_budget_ms,
                                     request.WorkspaceLimitBytes());
  ASSERT_TRUE(placement.ok()) << placement.status();
  ExpectStatisticsOf(request.problem, *placement, plan);
}

void ExpectExactRun(const Plan& plan) {
  const BatchWithReference& expected = BatchOf(plan);
  absl::StatusOr<TestStep> step = RunPlanBackward(plan, expected.batch);
  ASSERT_TRUE(step.ok()) << step.status();
  ExpectExact(expected.reference, step->result);
  ExpectExactGradients(expected.gradients, step->gradients);
}

}  // namespace

std::vector<model::Document> Documents(const std::vector<int64_t>& lengths,
                                       const model::Mask& mask) {
  std::vector<model::Document> documents;
  for (int64_t length : lengths) documents.push_back({length, mask});
  return documents;
}

solver::Problem SmallProblem(std::vector<model::Document> documents, int ranks) {
  solver::Problem problem;
  problem.documents = std::move(documents);
  problem.ranks = ranks;
  problem.heads = {4, 2, 8};
  problem.dtype = model::DType::kF32;
  problem.cluster = model::ClusterPreset("h100x8").value();
  return problem;
}

CompileRequest WithLeastLimit(Compiler* compiler, CompileRequest request) {
  int64_t low = 1, high = int64_t{64} << 20;
  while (low + 64 < high) {
    request.workspace_limit_bytes = (low + high) / 2;
    (compiler->Compile(request).ok() ? high : low) = *request.workspace_limit_bytes;
  }
  request.workspace_limit_bytes = high;
  return request;
}

void ExpectExactPlan(Compiler* compiler, const CompileRequest& request) {
  absl::StatusOr<Plan> plan = compiler->Compile(request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  absl::Status verified = VerifyPlan(*plan);
  ASSERT_TRUE(verified.ok()) << verified;
  if (!RecordPlan(*plan)) {
    ExpectStatisticsOf(request, *plan);
    ExpectExactRun(*plan);
  }
  // Some rows stay from forward to backward, others are sent again.
  CompileRequest saving = request;
  saving.memory_budget_bytes = 8192;
  // See LimitWithSavedRows.
  if (saving.workspace_limit_bytes) *saving.workspace_limit_bytes += 1024;
  absl::StatusOr<Plan> saved = compiler->Compile(saving);
  ASSERT_TRUE(saved.ok()) << saved.status();
  verified = VerifyPlan(*saved);
  ASSERT_TRUE(verified.ok()) << verified;
  if (!RecordPlan(*saved)) ExpectExactRun(*saved);
}

}  // namespace flashcp::testing

// Every strategy, mask and dtype on 2 to 4 processes, and every strategy and mask at the least
// workspace limit: what a rank computes over MPI is, bit for bit, what it computes as a thread,
// which is exact.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "compiler/compile.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "runtime/plan/conversion.h"
#include "support/status_macros.h"
#include "tests/e2e/compiled_case.h"
#include "tests/e2e/record_plans.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_mpi.h"
#include "tests/testing/run_plan.h"

namespace flashcp {
namespace {

using model::DType;

using Case = std::tuple<std::string, DType, int>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  auto [strategy, dtype, ranks] = info.param;
  static constexpr const char* kTypes[] = {"f32", "bf16", "f16"};
  return absl::StrCat(absl::StrReplaceAll(strategy, {{"-", "_"}}), "_",
                      kTypes[static_cast<int>(dtype)], "_", ranks, "_ranks");
}

// The rows of `rank` of a tensor in global order.
std::vector<char> RowsOf(const Plan& plan, int rank, size_t row_bytes, const void* global) {
  std::vector<char> rows(*RankTokens(plan, rank) * row_bytes);
  const size_t bytes = TotalTokens(plan) * row_bytes;
  EXPECT_TRUE(ScatterRows(plan, rank, row_bytes, {global, bytes}, rows).ok());
  return rows;
}

// One rank over MPI; the second step has tensors elsewhere. Expects its rows of `step`.
absl::Status RunRank(const Plan& plan, const testing::TestBatch& batch,
                     const testing::TestStep& step, Transport* transport) {
  const int rank = transport->rank();
  std::unique_ptr<Device> device = CreateCpuDevice();
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, rank, transport, device.get()));
  testing::RankTensors first(plan, rank, batch);
  testing::RankTensors second(plan, rank, batch);
  for (testing::RankTensors* local : {&first, &second}) {
    RETURN_IF_ERROR(executor->Forward(local->forward()));
    RETURN_IF_ERROR(executor->Backward(local->backward()));
    auto expected = [&](size_t row_bytes, absl::Span<const float> global) {
      return RowsOf(plan, rank, row_bytes, testing::ToElements(batch.spec.element, global).data());
    };
    EXPECT_EQ(local->output, expected(local->query_bytes, step.result.output));
    EXPECT_EQ(local->query_gradient, expected(local->query_bytes, step.gradients.query));
    EXPECT_EQ(local->key_gradient, expected(local->key_bytes, step.gradients.key));
    EXPECT_EQ(local->value_gradient, expected(local->key_bytes, step.gradients.value));
    const std::vector<char> lse =
        RowsOf(plan, rank, batch.spec.query_heads * sizeof(float), step.result.lse.data());
    EXPECT_EQ(std::memcmp(local->lse.data(), lse.data(), lse.size()), 0);
  }
  return absl::OkStatus();
}

void ExpectThatOfThreads(Compiler* compiler, const CompileRequest& request) {
  absl::StatusOr<Plan> plan = compiler->Compile(request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  if (testing::RecordPlan(*plan)) return;
  testing::TestBatch batch(DocumentsOf(**plan), KernelSpecOf(*plan), /*seed=*/1);
  absl::StatusOr<testing::TestStep> step = testing::RunPlanBackward(*plan, batch);
  ASSERT_TRUE(step.ok()) << step.status();
  testing::ExpectExactStep(batch, *step);
  absl::Status status = testing::RunMpi(request.problem.ranks, [&](Transport* transport) {
    return RunRank(*plan, batch, *step, transport);
  });
  EXPECT_TRUE(status.ok()) << status;
}

class MpiExactnessTest : public ::testing::TestWithParam<Case> {};

TEST_P(MpiExactnessTest, IsThatOfThreads) {
  auto [strategy, dtype, ranks] = GetParam();
  Compiler compiler;
  for (const model::Mask& mask :
       {model::Mask::Causal(), model::Mask::Full(), model::Mask::Window(23)}) {
    SCOPED_TRACE(model::MaskText(mask));
    solver::Problem problem =
        testing::SmallProblem(testing::Documents({60, 0, 1, 200, 33}, mask), ranks);
    problem.dtype = dtype;
    ExpectThatOfThreads(&compiler, {problem, strategy});
  }
}

class MpiLimitTest : public ::testing::TestWithParam<std::string> {};

TEST_P(MpiLimitTest, IsThatOfThreadsAtTheLeastLimit) {
  struct {
    model::Mask mask;
    int ranks_per_node;
    int64_t memory_budget_bytes;
  } const cases[] = {{model::Mask::Causal(), 2, 0},
                     {model::Mask::Full(), 4, 8192},
                     {model::Mask::Window(23), 2, 8192}};
  Compiler compiler;
  for (const auto& c : cases) {
    SCOPED_TRACE(absl::StrCat(model::MaskText(c.mask), ", ", c.ranks_per_node, " in a node"));
    CompileRequest request{
        testing::SmallProblem(testing::Documents({60, 0, 1, 200, 33}, c.mask), 4), GetParam()};
    request.problem.heads = {8, 4, 8};
    request.problem.cluster.name = "nodes";
    request.problem.cluster.ranks_per_node = c.ranks_per_node;
    request.time_budget_ms = 0;
    request.memory_budget_bytes = c.memory_budget_bytes;
    ExpectThatOfThreads(&compiler, testing::WithLeastLimit(&compiler, request));
  }
}

INSTANTIATE_TEST_SUITE_P(All, MpiExactnessTest,
                         ::testing::Combine(::testing::ValuesIn(solver::StrategyNames()),
                                            ::testing::Values(DType::kF32, DType::kBF16,
                                                              DType::kF16),
                                            ::testing::Values(2, 3, 4)),
                         CaseName);

INSTANTIATE_TEST_SUITE_P(All, MpiLimitTest, ::testing::ValuesIn(solver::StrategyNames()),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{"-", "_"}});
                         });

}  // namespace
}  // namespace flashcp

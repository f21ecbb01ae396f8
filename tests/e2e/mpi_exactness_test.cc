// Every strategy, mask and dtype on 2 to 4 processes: what a rank computes over MPI is, bit for
// bit, what it computes as a thread, which is exact.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "compiler/compile.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "support/status_macros.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_mpi.h"
#include "tests/testing/run_plan.h"

namespace flashcp {
namespace {

using solver::DType;
using solver::MaskKind;

using Case = std::tuple<std::string, DType, int>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  auto [strategy, dtype, ranks] = info.param;
  static constexpr const char* kTypes[] = {"f32", "bf16", "f16"};
  return absl::StrCat(absl::StrReplaceAll(strategy, {{"-", "_"}}), "_",
                      kTypes[static_cast<int>(dtype)], "_", ranks, "_ranks");
}

// One rank over MPI; the second step has tensors elsewhere. Expects its rows of `result`.
absl::Status RunRank(const Plan& plan, const testing::TestBatch& batch,
                     const testing::TestResult& result, Transport* transport) {
  const int rank = transport->rank();
  std::unique_ptr<Device> device = CreateCpuDevice();
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, rank, transport, device.get()));
  testing::RankTensors first(plan, rank, batch);
  RETURN_IF_ERROR(executor->Forward(first.forward()));
  testing::RankTensors second(plan, rank, batch);
  RETURN_IF_ERROR(executor->Forward(second.forward()));
  EXPECT_EQ(first.output, second.output);
  EXPECT_EQ(first.lse, second.lse);
  std::vector<char> output(first.output.size());
  std::vector<float> lse(first.lse.size());
  ScatterRows(plan, rank, first.query_bytes,
              testing::ToElements(batch.spec.element, result.output).data(), output.data());
  ScatterRows(plan, rank, batch.spec.query_heads * sizeof(float), result.lse.data(), lse.data());
  EXPECT_EQ(first.output, output);
  EXPECT_EQ(std::memcmp(first.lse.data(), lse.data(), lse.size() * sizeof(float)), 0);
  return absl::OkStatus();
}

class MpiExactnessTest : public ::testing::TestWithParam<Case> {};

TEST_P(MpiExactnessTest, IsThatOfThreads) {
  auto [strategy, dtype, ranks] = GetParam();
  Compiler compiler;
  for (MaskKind mask : {MaskKind::kCausal, MaskKind::kFull, MaskKind::kWindow}) {
    SCOPED_TRACE(static_cast<int>(mask));
    solver::Problem problem = testing::SmallProblem(
        testing::Documents({60, 0, 1, 200, 33}, {mask, mask == MaskKind::kWindow ? 23 : 0}), ranks);
    problem.dtype = dtype;
    absl::StatusOr<Plan> plan = compiler.Compile({problem, strategy});
    ASSERT_TRUE(plan.ok()) << plan.status();
    testing::TestBatch batch(DenseDocumentsOf(*plan), KernelSpecOf(*plan), /*seed=*/1);
    absl::StatusOr<testing::TestResult> result = testing::RunPlan(*plan, batch);
    ASSERT_TRUE(result.ok()) << result.status();
    testing::ExpectExact(batch, batch.Reference(), *result);
    absl::Status status = testing::RunMpi(
        ranks, [&](Transport* transport) { return RunRank(*plan, batch, *result, transport); });
    EXPECT_TRUE(status.ok()) << status;
  }
}

INSTANTIATE_TEST_SUITE_P(All, MpiExactnessTest,
                         ::testing::Combine(::testing::ValuesIn(solver::StrategyNames()),
                                            ::testing::Values(DType::kF32, DType::kBF16,
                                                              DType::kF16),
                                            ::testing::Values(2, 3, 4)),
                         CaseName);

}  // namespace
}  // namespace flashcp

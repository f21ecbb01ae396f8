#include "tests/testing/run_plan.h"

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "runtime/device.h"
#include "runtime/layout.h"
#include "runtime/numeric.h"
#include "runtime/run_threads.h"
#include "support/status_macros.h"

namespace flashcp::testing {

RankTensors::RankTensors(const Plan& plan, int rank, const TestBatch& batch) {
  const KernelSpec& spec = batch.spec;
  int64_t tokens = RankTokens(plan, rank);
  query_bytes = size_t{1} * spec.query_heads * spec.dim * ElementBytes(spec.element);
  key_bytes = size_t{1} * spec.key_value_heads * spec.dim * ElementBytes(spec.element);
  query.resize(tokens * query_bytes);
  key.resize(tokens * key_bytes);
  value.resize(tokens * key_bytes);
  output.resize(tokens * query_bytes);
  lse.resize(tokens * spec.query_heads);
  ScatterRows(plan, rank, query_bytes, ToElements(spec.element, batch.query).data(), query.data());
  ScatterRows(plan, rank, key_bytes, ToElements(spec.element, batch.key).data(), key.data());
  ScatterRows(plan, rank, key_bytes, ToElements(spec.element, batch.value).data(), value.data());
}

absl::StatusOr<TestResult> RunPlan(const Plan& plan, const TestBatch& batch, int steps) {
  std::vector<char> output(batch.query.size() * ElementBytes(batch.spec.element));
  TestResult result;
  result.lse.resize(batch.tokens() * batch.spec.query_heads);
  RETURN_IF_ERROR(RunThreads(plan.num_ranks(), [&](Transport* transport) -> absl::Status {
    std::unique_ptr<Device> device = CreateCpuDevice();
    int rank = transport->rank();
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, device.get()));
    std::vector<RankTensors> tensors;
    for (int step = 0; step < steps; ++step) {
      tensors.emplace_back(plan, rank, batch);
      RETURN_IF_ERROR(executor->Forward(tensors.back().forward()));
    }
    GatherRows(plan, rank, tensors.back().query_bytes, tensors.back().output.data(), output.data());
    GatherRows(plan, rank, batch.spec.query_heads * sizeof(float), tensors.back().lse.data(),
               result.lse.data());
    return absl::OkStatus();
  }));
  result.output = ToFloats(batch.spec.element, output);
  return result;
}

void ExpectExact(const TestBatch& batch, const DenseResult& expected, const TestResult& result) {
  double tolerance = 2e-5;
  if (batch.spec.element != ElementType::kF32) {
    tolerance = 2 * MaxError(expected.output, DenseKernel(batch).output) + 1e-6;
  }
  EXPECT_LE(MaxError(expected.output, result.output), tolerance);
  EXPECT_LE(MaxError(expected.lse, result.lse), 2e-5);
}

}  // namespace flashcp::testing

#include "tests/testing/run_plan.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "runtime/layout.h"
#include "runtime/numeric.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"

namespace flashcp::testing {

RankTensors::RankTensors(const Plan& plan, int rank, const TestBatch& batch) {
  const KernelSpec& spec = batch.spec;
  int64_t tokens = RankTokens(plan, rank);
  query_bytes = size_t{1} * spec.query_heads * spec.dim * BytesPerElement(spec.element);
  key_bytes = size_t{1} * spec.key_value_heads * spec.dim * BytesPerElement(spec.element);
  query.resize(tokens * query_bytes);
  key.resize(tokens * key_bytes);
  value.resize(tokens * key_bytes);
  output.resize(tokens * query_bytes);
  lse.resize(tokens * spec.query_heads);
  saved.resize(plan->ranks()->Get(rank)->saved_bytes());
  output_gradient.resize(query.size());
  query_gradient.resize(query.size());
  key_gradient.resize(key.size());
  value_gradient.resize(key.size());
  auto scatter = [&](const std::vector<float>& global, size_t bytes, std::vector<char>* local) {
    ScatterRows(plan, rank, bytes, ToElements(spec.element, global).data(), local->data());
  };
  scatter(batch.query, query_bytes, &query);
  scatter(batch.key, key_bytes, &key);
  scatter(batch.value, key_bytes, &value);
  scatter(batch.output_gradient, query_bytes, &output_gradient);
}

namespace {

// Results of all ranks, in global order.
struct GlobalBytes {
  GlobalBytes(const TestBatch& batch)
      : output(batch.query.size() * BytesPerElement(batch.spec.element)),
        query_gradient(output.size()),
        key_gradient(batch.key.size() * BytesPerElement(batch.spec.element)),
        value_gradient(key_gradient.size()) {}

  std::vector<char> output, query_gradient, key_gradient, value_gradient;
};

// One rank: steps with new tensors each; the last results go to the global ones.
absl::Status RunRank(const Plan& plan, const TestBatch& batch, int steps, bool backward,
                     Transport* transport, GlobalBytes* global, std::vector<float>* lse) {
  std::unique_ptr<Device> device = CreateCpuDevice();
  int rank = transport->rank();
  ExecutorOptions options;
  options.backward = backward;
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, rank, transport, device.get(), options));
  std::vector<RankTensors> tensors;
  for (int step = 0; step < steps; ++step) {
    tensors.emplace_back(plan, rank, batch);
    RETURN_IF_ERROR(executor->Forward(tensors.back().forward()));
    if (backward) RETURN_IF_ERROR(executor->Backward(tensors.back().backward()));
  }
  const RankTensors& last = tensors.back();
  auto gather = [&](size_t bytes, const std::vector<char>& local, std::vector<char>* all) {
    GatherRows(plan, rank, bytes, local.data(), all->data());
  };
  gather(last.query_bytes, last.output, &global->output);
  gather(last.query_bytes, last.query_gradient, &global->query_gradient);
  gather(last.key_bytes, last.key_gradient, &global->key_gradient);
  gather(last.key_bytes, last.value_gradient, &global->value_gradient);
  GatherRows(plan, rank, batch.spec.query_heads * sizeof(float), last.lse.data(), lse->data());
  return absl::OkStatus();
}

absl::StatusOr<TestStep> RunSteps(const Plan& plan, const TestBatch& batch, int steps,
                                  bool backward) {
  GlobalBytes global(batch);
  TestStep step;
  step.result.lse.resize(batch.tokens() * batch.spec.query_heads);
  RETURN_IF_ERROR(RunThreads(plan.num_ranks(), [&](Transport* transport) -> absl::Status {
    return RunRank(plan, batch, steps, backward, transport, &global, &step.result.lse);
  }));
  step.result.output = ToFloats(batch.spec.element, global.output);
  step.gradients.query = ToFloats(batch.spec.element, global.query_gradient);
  step.gradients.key = ToFloats(batch.spec.element, global.key_gradient);
  step.gradients.value = ToFloats(batch.spec.element, global.value_gradient);
  return step;
}

}  // namespace

absl::StatusOr<TestResult> RunPlan(const Plan& plan, const TestBatch& batch, int steps) {
  ASSIGN_OR_RETURN(TestStep step, RunSteps(plan, batch, steps, /*backward=*/false));
  return std::move(step.result);
}

absl::StatusOr<TestStep> RunPlanBackward(const Plan& plan, const TestBatch& batch, int steps) {
  return RunSteps(plan, batch, steps, /*backward=*/true);
}

namespace {

void ExpectAllowed(const char* name, const std::vector<double>& expected,
                   const std::vector<float>& allowed, const std::vector<float>& found) {
  const WorstElement worst = FindWorst(expected, allowed, found);
  EXPECT_LE(worst.ratio, 1) << name << ", element " << worst.index << ": off by " << worst.error
                            << ", allowed " << worst.allowed;
}

}  // namespace

void ExpectExact(const DenseResult& expected, const TestResult& result) {
  ExpectAllowed("O", expected.output, expected.output_allowed, result.output);
  ExpectAllowed("LSE", expected.lse, expected.lse_allowed, result.lse);
}

void ExpectExactGradients(const DenseGradients& expected, const TestGradients& gradients) {
  ExpectAllowed("dQ", expected.query, expected.query_allowed, gradients.query);
  ExpectAllowed("dK", expected.key, expected.key_allowed, gradients.key);
  ExpectAllowed("dV", expected.value, expected.value_allowed, gradients.value);
}

void ExpectExactStep(const TestBatch& batch, const TestStep& step) {
  const DenseResult reference = batch.Reference();
  ExpectExact(reference, step.result);
  ExpectExactGradients(batch.ReferenceGradients(reference), step.gradients);
}

}  // namespace flashcp::testing

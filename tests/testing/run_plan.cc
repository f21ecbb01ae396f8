// Runs all ranks of a plan as threads and gathers their tensors.

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
#include "tests/testing/guarded_transport.h"

namespace flashcp::testing {

RankTensors::RankTensors(const Plan& plan, int rank, const TestBatch& batch) {
  const KernelSpec& spec = batch.spec;
  int64_t tokens = *RankTokens(plan, rank);
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
    EXPECT_TRUE(ScatterRows(plan, rank, bytes, ToElements(spec.element, global), *local).ok());
  };
  scatter(batch.query, query_bytes, &query);
  scatter(batch.key, key_bytes, &key);
  scatter(batch.value, key_bytes, &value);
  scatter(batch.output_gradient, query_bytes, &output_gradient);
}

GlobalResults::GlobalResults(const Plan& plan, const TestBatch& batch)
    : plan_(plan),
      spec_(batch.spec),
      output_(batch.query.size() * BytesPerElement(spec_.element)),
      query_gradient_(output_.size()),
      key_gradient_(batch.key.size() * BytesPerElement(spec_.element)),
      value_gradient_(key_gradient_.size()),
      lse_(batch.tokens() * spec_.query_heads) {}

void GlobalResults::Gather(int rank, const RankTensors& local) {
  auto gather = [&](size_t bytes, const std::vector<char>& rows, std::vector<char>* all) {
    EXPECT_TRUE(GatherRows(plan_, rank, bytes, rows, *all).ok());
  };
  gather(local.query_bytes, local.output, &output_);
  gather(local.query_bytes, local.query_gradient, &query_gradient_);
  gather(local.key_bytes, local.key_gradient, &key_gradient_);
  gather(local.key_bytes, local.value_gradient, &value_gradient_);
  EXPECT_TRUE(GatherRows(plan_, rank, spec_.query_heads * sizeof(float), local.lse, lse_).ok());
}

TestStep GlobalResults::Step() const {
  TestStep step;
  step.result.lse = lse_;
  step.result.output = ToFloats(spec_.element, output_);
  step.gradients.query = ToFloats(spec_.element, query_gradient_);
  step.gradients.key = ToFloats(spec_.element, key_gradient_);
  step.gradients.value = ToFloats(spec_.element, value_gradient_);
  return step;
}

namespace {

// One rank: steps with new tensors each; the last results go to the global ones.
absl::Status RunRank(const Plan& plan, const TestBatch& batch, int steps, bool backward,
                     Transport* inner, GlobalResults* global) {
  std::unique_ptr<Device> device = CreateCpuDevice();
  GuardedTransport transport(inner);
  int rank = transport.rank();
  ExecutorOptions options;
  options.backward = backward;
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, rank, &transport, device.get(), options));
  std::vector<RankTensors> tensors;
  for (int step = 0; step < steps; ++step) {
    tensors.emplace_back(plan, rank, batch);
    RETURN_IF_ERROR(executor->Forward(tensors.back().forward()));
    if (backward) RETURN_IF_ERROR(executor->Backward(tensors.back().backward()));
  }
  global->Gather(rank, tensors.back());
  return absl::OkStatus();
}

absl::StatusOr<TestStep> RunSteps(const Plan& plan, const TestBatch& batch, int steps,
                                  bool backward) {
  GlobalResults global(plan, batch);
  RETURN_IF_ERROR(RunThreads(plan.num_ranks(), [&](Transport* transport) -> absl::Status {
    return RunRank(plan, batch, steps, backward, transport, &global);
  }));
  return global.Step();
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

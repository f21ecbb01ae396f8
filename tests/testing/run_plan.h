// Runs plans on threads of this process with the CPU kernel, and compares with float64.

#ifndef FLASHCP_TESTS_TESTING_RUN_PLAN_H_
#define FLASHCP_TESTS_TESTING_RUN_PLAN_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/check/dense_reference.h"
#include "runtime/executor.h"
#include "runtime/plan/plan.h"
#include "tests/testing/reference_attention.h"

namespace flashcp::testing {

// The tensors of one rank, cut out of a batch; results are still zeros.
struct RankTensors {
  RankTensors(const Plan& plan, int rank, const TestBatch& batch);

  ForwardTensors forward() { return {query, key, value, output, lse, saved}; }
  BackwardTensors backward() {
    return {query,          key,          value,         output, lse, saved, output_gradient,
            query_gradient, key_gradient, value_gradient};
  }

  size_t query_bytes;  // of one token
  size_t key_bytes;
  std::vector<char> query;
  std::vector<char> key;
  std::vector<char> value;
  std::vector<char> output;
  std::vector<float> lse;
  std::vector<char> saved;
  std::vector<char> output_gradient;
  std::vector<char> query_gradient;
  std::vector<char> key_gradient;
  std::vector<char> value_gradient;
};

// What a step computes.
struct TestStep {
  TestResult result;
  TestGradients gradients;
};

// Gathers the results of ranks in global order. Ranks may be threads.
class GlobalResults {
 public:
  GlobalResults(const Plan& plan, const TestBatch& batch);
  void Gather(int rank, const RankTensors& local);
  TestStep Step() const;

 private:
  const Plan plan_;
  const KernelSpec spec_;
  std::vector<char> output_, query_gradient_, key_gradient_, value_gradient_;
  std::vector<float> lse_;
};

// Runs the plan, `steps` times with new tensors, and gathers the last result in global order. An
// exchange that reuses memory too early is found (guarded_transport.h).
absl::StatusOr<TestResult> RunPlan(const Plan& plan, const TestBatch& batch, int steps = 1);

// Forward, then backward, the same way.
absl::StatusOr<TestStep> RunPlanBackward(const Plan& plan, const TestBatch& batch, int steps = 1);

// Expect the results to be `expected` within what rounding explains (runtime/check/tolerance.h).
void ExpectExact(const DenseResult& expected, const TestResult& result);
void ExpectExactGradients(const DenseGradients& expected, const TestGradients& gradients);

// Both, of a step of the batch.
void ExpectExactStep(const TestBatch& batch, const TestStep& step);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_RUN_PLAN_H_

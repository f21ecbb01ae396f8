// Passes in rounds between processes give the bits of ranks that are threads.

#include <memory>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/testing/guarded_transport.h"
#include "tests/testing/run_mpi.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::testing {
namespace {

// The rank's part of what a step computes.
struct Results {
  explicit Results(const RankTensors& t)
      : output(t.output),
        query_gradient(t.query_gradient),
        key_gradient(t.key_gradient),
        value_gradient(t.value_gradient),
        lse(t.lse) {}
  friend bool operator==(const Results& a, const Results& b) {
    return a.output == b.output && a.query_gradient == b.query_gradient &&
           a.key_gradient == b.key_gradient && a.value_gradient == b.value_gradient &&
           a.lse == b.lse;
  }

  std::vector<char> output, query_gradient, key_gradient, value_gradient;
  std::vector<float> lse;
};

// Runs two steps on tensors of their own.
absl::Status RunRank(const Plan& plan, const TestBatch& batch, Transport* inner,
                     std::unique_ptr<Results>* results) {
  GuardedTransport transport(inner);
  const std::unique_ptr<Device> device = CreateCpuDevice();
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, inner->rank(), &transport, device.get()));
  std::vector<RankTensors> tensors;
  for (int step = 0; step < 2; ++step) {
    tensors.emplace_back(plan, inner->rank(), batch);
    RETURN_IF_ERROR(executor->Forward(tensors.back().forward()));
    RETURN_IF_ERROR(executor->Backward(tensors.back().backward()));
  }
  *results = std::make_unique<Results>(tensors.back());
  return absl::OkStatus();
}

TEST(MpiRoundsTest, GiveTheBitsOfThreads) {
  ToyProblem problem = RelayedToyProblem();
  problem.query_heads = 8;
  problem.key_value_heads = 4;
  problem.remote_stages = 5;
  for (uint32_t length : {22u, 23u, 24u}) {
    problem.documents.push_back({length, DealZigzag(length, 8, 4)});
  }
  for (auto [groups, places, reuse] : {std::tuple(2, 1, false), std::tuple(4, 2, false),
                                       std::tuple(4, 1, true), std::tuple(4, 3, true)}) {
    problem.head_groups = groups;
    problem.places = places;
    problem.reuse = reuse;
    const Plan plan = MakeToyPlan(problem);
    const TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), /*seed=*/5);
    std::vector<std::unique_ptr<Results>> expected(plan.num_ranks());
    const absl::Status threads = RunThreads(plan.num_ranks(), [&](Transport* transport) {
      return RunRank(plan, batch, transport, &expected[transport->rank()]);
    });
    ASSERT_TRUE(threads.ok()) << threads;
    const absl::Status processes = RunMpi(plan.num_ranks(), [&](Transport* transport) {
      std::unique_ptr<Results> found;
      const absl::Status status = RunRank(plan, batch, transport, &found);
      EXPECT_TRUE(!status.ok() || *found == *expected[transport->rank()]);
      return status;
    });
    EXPECT_TRUE(processes.ok()) << processes;
  }
}

}  // namespace
}  // namespace flashcp::testing

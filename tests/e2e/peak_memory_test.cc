// The peak memory of a rank that statistics foretell is, within 1%, what its tensors and its device
// take in a forward and a backward pass: in one round and stage, and in several of both.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/plan/statistics.h"
#include "runtime/threads/run_threads.h"
#include "session/rank_tensors.h"
#include "support/status_macros.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/forwarding_device.h"

namespace flashcp::testing {
namespace {

// The CPU, that adds up what is allocated of it.
class CountingDevice : public ForwardingDevice {
 public:
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override {
    allocated_ += bytes;
    return ForwardingDevice::Allocate(bytes);
  }
  uint64_t allocated() const { return allocated_; }

 private:
  uint64_t allocated_ = 0;
};

uint64_t BytesOf(session::RankTensors tensors) {
  uint64_t bytes = tensors.saved.size();
  for (const std::vector<char>* tensor : tensors.Inputs()) bytes += tensor->size();
  for (const std::vector<char>* tensor : tensors.Results()) bytes += tensor->size();
  return bytes;
}

void ExpectPeaks(const Plan& plan) {
  const PlanStatistics statistics = ComputeStatistics(plan);
  const absl::Status status = RunThreads(plan.num_ranks(), [&](Transport* transport) {
    const int rank = transport->rank();
    CountingDevice device;
    session::RankTensors t = *session::MakeRankTensors(plan, rank, /*backward=*/true);
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, &device));
    RETURN_IF_ERROR(executor->Forward({t.query, t.key, t.value, t.output, t.lse, t.saved}));
    RETURN_IF_ERROR(
        executor->Backward({t.query, t.key, t.value, t.output, t.lse, t.saved, t.output_gradient,
                            t.query_gradient, t.key_gradient, t.value_gradient}));
    const double peak = statistics.ranks[rank].peak_bytes;
    EXPECT_NEAR(BytesOf(t) + device.allocated(), peak, 0.01 * peak) << "rank " << rank;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

uint32_t Stages(const Plan& plan) {
  const fbs::Program& forward = *plan->ranks()->Get(0)->forward();
  uint32_t stages = 0;
  for (const fbs::Instruction& instruction : Items(forward.instructions())) {
    stages = std::max(stages, instruction.stage());
  }
  return stages;
}

TEST(PeakMemoryTest, IsWhatARankTakes) {
  Compiler compiler;
  for (int64_t memory_budget_bytes : {0, 8192}) {
    SCOPED_TRACE(absl::StrCat(memory_budget_bytes, " bytes to save rows"));
    CompileRequest request{SmallProblem(Documents({900, 300}, model::Mask::Causal()), 4)};
    request.memory_budget_bytes = memory_budget_bytes;
    request.workspace_limit_bytes = 0;
    const absl::StatusOr<Plan> one = compiler.Compile(request);
    ASSERT_TRUE(one.ok()) << one.status();
    EXPECT_EQ((*one)->head_groups(), 1);
    ExpectPeaks(*one);
    const absl::StatusOr<Plan> several = compiler.Compile(WithLeastLimit(&compiler, request));
    ASSERT_TRUE(several.ok()) << several.status();
    EXPECT_GT((*several)->head_groups(), 1);
    EXPECT_GT(Stages(*several), 1);
    ExpectPeaks(*several);
  }
}

}  // namespace
}  // namespace flashcp::testing

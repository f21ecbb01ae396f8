// The executor on toy plans: exact against float64, and how it ends when something fails.

#include "runtime/executor.h"

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/check/dense_reference.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/testing/forwarding_device.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_on_streams.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using ::testing::AllOf;
using testing::DealZigzag;
using testing::ExpectExactStep;
using testing::ForwardingDevice;
using ::testing::HasSubstr;
using testing::MakeToyPlan;
using ::testing::MatchesRegex;
using testing::RankTensors;
using testing::RunPlanBackward;
using testing::RunPlanOnStreams;
using testing::TestBatch;
using testing::TestStep;
using testing::ToyProblem;

void ExpectPlanIsExact(const ToyProblem& problem, uint64_t seed, int steps = 1) {
  Plan plan = MakeToyPlan(problem);
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), seed);
  absl::StatusOr<TestStep> step = RunPlanBackward(plan, batch, steps);
  ASSERT_TRUE(step.ok()) << step.status();
  ExpectExactStep(batch, *step);
  // On streams the same bits, whatever order the machine chooses.
  for (uint64_t order : {seed, seed + 1}) {
    absl::StatusOr<TestStep> on_streams = RunPlanOnStreams(plan, batch, order, steps);
    ASSERT_TRUE(on_streams.ok()) << on_streams.status();
    EXPECT_EQ(on_streams->result.output, step->result.output) << order;
    EXPECT_EQ(on_streams->result.lse, step->result.lse) << order;
    EXPECT_EQ(on_streams->gradients.query, step->gradients.query) << order;
    EXPECT_EQ(on_streams->gradients.key, step->gradients.key) << order;
    EXPECT_EQ(on_streams->gradients.value, step->gradients.value) << order;
  }
}

// Documents of many lengths, among them empty ones, all with this mask.
ToyProblem MakeProblem(int ranks, const model::Mask& mask) {
  ToyProblem problem;
  problem.ranks = ranks;
  for (uint32_t length : {37u, 1u, 0u, 150u, 66u}) {
    problem.documents.push_back({length, DealZigzag(length, 2 * ranks, ranks), mask});
  }
  return problem;
}

class ExecutorTest
    : public ::testing::TestWithParam<std::tuple<int, model::Mask, fbs::DType, int>> {};

TEST_P(ExecutorTest, IsExact) {
  auto [ranks, mask, dtype, stages] = GetParam();
  ToyProblem problem = MakeProblem(ranks, mask);
  problem.dtype = dtype;
  problem.remote_stages = stages;
  ExpectPlanIsExact(problem, 1 + ranks);
}

INSTANTIATE_TEST_SUITE_P(
    All, ExecutorTest,
    ::testing::Combine(::testing::Values(1, 2, 3, 4),
                       ::testing::Values(model::Mask::Causal(), model::Mask::Full(),
                                         model::Mask::Window(19), model::Mask({-7, 12}),
                                         model::Mask({-5, model::Band::kNoUpper})),
                       ::testing::Values(fbs::DType::f32, fbs::DType::bf16, fbs::DType::f16),
                       ::testing::Values(1, 2)));

TEST(ExecutorShapesTest, MultiQueryAndMultiHead) {
  for (auto [query_heads, key_value_heads] : {std::pair(3, 3), std::pair(6, 1), std::pair(8, 2)}) {
    ToyProblem problem = MakeProblem(3, model::Mask::Causal());
    problem.query_heads = query_heads;
    problem.key_value_heads = key_value_heads;
    problem.dim = 40;
    ExpectPlanIsExact(problem, query_heads);
  }
}

TEST(ExecutorShapesTest, AllGatherExchange) {
  ToyProblem problem = MakeProblem(3, model::Mask::Window(19));
  problem.exchange = fbs::Exchange::all_gather;
  ExpectPlanIsExact(problem, 5);
}

// Rows that cross nodes are forwarded by one of the ranks that need them.
TEST(ExecutorShapesTest, RelayedRows) {
  for (auto [ranks, node] : {std::pair(4, 2), std::pair(6, 3), std::pair(5, 3)}) {
    for (fbs::Exchange exchange : fbs::EnumValuesExchange()) {
      for (int stages : {1, 2}) {
        ToyProblem problem = MakeProblem(ranks, model::Mask::Causal());
        problem.ranks_per_node = node;
        problem.exchange = exchange;
        problem.remote_stages = stages;
        ExpectPlanIsExact(problem, 20 + ranks, /*steps=*/2);
      }
    }
  }
}

TEST(ExecutorShapesTest, RanksWithoutTokens) {
  ToyProblem problem;
  problem.ranks = 4;
  problem.documents = {{2, {{0, 1, 2}, {1, 2, 0}}}};
  ExpectPlanIsExact(problem, 6);
}

TEST(ExecutorShapesTest, NothingAtAll) {
  ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{0, {}}};
  ExpectPlanIsExact(problem, 7);
}

TEST(ExecutorShapesTest, StepsWithOtherTensorsEachTime) {
  ToyProblem problem = MakeProblem(4, model::Mask::Causal());
  problem.remote_stages = 2;
  ExpectPlanIsExact(problem, 8, /*steps=*/5);
}

// A head-split message: each K/V head group travels in a part of its own.
TEST(ExecutorShapesTest, MessagesOfSingleHeads) {
  ToyProblem problem = MakeProblem(2, model::Mask::Full());
  problem.key_value_heads = 2;
  fbs::PlanT split = testing::MakeToyPlanT(problem);
  for (auto& rank : split.ranks) {
    std::vector<fbs::Part> parts;
    for (fbs::Message& message : rank->forward->messages) {
      uint32_t begin = parts.size();
      for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
        const fbs::Part part = rank->forward->parts[p];
        for (uint32_t head = 0; head < 2; ++head) {
          parts.emplace_back(part.buffer(), head, head + 1, part.slice_begin(), part.slice_end(),
                             part.saved());
        }
      }
      message.mutate_part_begin(begin);
      message.mutate_part_end(parts.size());
    }
    rank->forward->parts = std::move(parts);
  }
  Plan plan = testing::SealPlanT(split);
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 9);
  absl::StatusOr<TestStep> step = RunPlanBackward(plan, batch);
  ASSERT_TRUE(step.ok()) << step.status();
  ExpectExactStep(batch, *step);
}

TEST(ExecutorTest, GradientsAreTheSameBitsInEveryRun) {
  ToyProblem problem = MakeProblem(4, model::Mask::Causal());
  problem.remote_stages = 2;
  problem.dtype = fbs::DType::bf16;
  Plan plan = MakeToyPlan(problem);
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 11);
  absl::StatusOr<TestStep> first = RunPlanBackward(plan, batch);
  ASSERT_TRUE(first.ok()) << first.status();
  for (int run = 0; run < 10; ++run) {
    absl::StatusOr<TestStep> again = RunPlanBackward(plan, batch, /*steps=*/1 + run % 2);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->result.output, first->result.output);
    EXPECT_EQ(again->gradients.query, first->gradients.query);
    EXPECT_EQ(again->gradients.key, first->gradients.key);
    EXPECT_EQ(again->gradients.value, first->gradients.value);
  }
}

// The CPU, but the n-th launch fails, forward and backward counted through.
class FailingDevice : public testing::ForwardingDevice {
 public:
  explicit FailingDevice(int launches) : launches_(launches) {}

 private:
  absl::Status BeforeLaunch(const Launch& launch) override {
    if (!IsAttend(launch) || launches_-- != 0) return absl::OkStatus();
    return absl::InternalError("the device is on fire");
  }

  int launches_;
};

// The errors of all ranks, where rank 1's device fails at the given launch of the first step.
std::vector<absl::Status> RunWithFailure(const Plan& plan, int launch) {
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 10);
  std::vector<absl::Status> errors(plan.num_ranks());
  absl::Status first = RunThreads(plan.num_ranks(), [&](Transport* transport) -> absl::Status {
    int rank = transport->rank();
    FailingDevice device(rank == 1 ? launch : 1000);
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, &device));
    RankTensors tensors(plan, rank, batch);
    // Ranks that need nothing more of rank 1 pass the first step and stop in the second.
    for (int step = 0; step < 2 && errors[rank].ok(); ++step) {
      errors[rank] = executor->Forward(tensors.forward());
      if (errors[rank].ok()) errors[rank] = executor->Backward(tensors.backward());
    }
    return errors[rank];
  });
  EXPECT_EQ(first.code(), absl::StatusCode::kInternal);
  return errors;
}

TEST(ExecutorFailureTest, ARankThatFailsEndsAllOthers) {
  ToyProblem problem = MakeProblem(4, model::Mask::Full());
  problem.remote_stages = 2;
  Plan plan = MakeToyPlan(problem);
  for (int launch : {0, 1, 2, 3, 4, 5}) {
    const bool forward = launch < 3;
    const int stage = launch % 3;
    std::vector<absl::Status> errors = RunWithFailure(plan, launch);
    for (int rank = 0; rank < plan.num_ranks(); ++rank) {
      EXPECT_EQ(errors[rank].code(),
                rank == 1 ? absl::StatusCode::kInternal : absl::StatusCode::kAborted);
      // The others stop where they miss rank 1: in the same pass, or in the one after it.
      EXPECT_THAT(std::string(errors[rank].message()),
                  AllOf(HasSubstr(absl::StrCat("rank ", rank, ", ")),
                        HasSubstr(absl::StrCat("rank 1, ", forward ? "forward" : "backward",
                                               ", stage ", stage)),
                        HasSubstr("the device is on fire")));
    }
  }
}

TEST(ExecutorFailureTest, DifferentPlansNameBothRanksAndHashes) {
  ToyProblem problem = MakeProblem(3, model::Mask::Causal());
  Plan plan = MakeToyPlan(problem);
  problem.documents[0].mask = model::Mask::Full();
  Plan other = MakeToyPlan(problem);
  std::vector<absl::Status> errors(3);
  RunThreads(3, [&](Transport* transport) -> absl::Status {
    int rank = transport->rank();
    std::unique_ptr<Device> device = CreateCpuDevice();
    errors[rank] =
        Executor::Create(rank == 2 ? other : plan, rank, transport, device.get()).status();
    return errors[rank];
  }).IgnoreError();
  for (const absl::Status& error : errors) {
    EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(error.message()),
                AllOf(HasSubstr("rank 0"), HasSubstr("rank 2"),
                      HasSubstr(absl::StrFormat("%016x", plan.hash())),
                      HasSubstr(absl::StrFormat("%016x", other.hash()))));
  }
}

TEST(ExecutorFailureTest, APlanThatBreaksARuleIsRefused) {
  fbs::PlanT spoiled = testing::MakeToyPlanT(MakeProblem(2, model::Mask::Causal()));
  spoiled.ranks[0]->forward->tiles[0].mutate_key_count(1 << 20);
  Plan plan = testing::SealPlanT(spoiled);
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    std::unique_ptr<Device> device = CreateCpuDevice();
    return Executor::Create(plan, transport->rank(), transport, device.get()).status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

TEST(ExecutorFailureTest, RanksMustFitThePlan) {
  Plan plan = MakeToyPlan(MakeProblem(2, model::Mask::Causal()));
  std::unique_ptr<Device> device = CreateCpuDevice();
  absl::Status too_many = RunThreads(3, [&](Transport* transport) -> absl::Status {
    return Executor::Create(plan, transport->rank(), transport, device.get()).status();
  });
  EXPECT_EQ(too_many.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(too_many.message()), AllOf(HasSubstr("2 ranks"), HasSubstr("joins 3")));
  absl::Status wrong_rank = RunThreads(2, [&](Transport* transport) -> absl::Status {
    return Executor::Create(plan, 1, transport, device.get(), {absl::Seconds(60)}).status();
  });
  EXPECT_EQ(wrong_rank.code(), absl::StatusCode::kInvalidArgument);
}

TEST(ExecutorFailureTest, AMissingTensorIsNamed) {
  Plan plan = MakeToyPlan(MakeProblem(2, model::Mask::Causal()));
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 11);
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    std::unique_ptr<Device> device = CreateCpuDevice();
    int rank = transport->rank();
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, device.get()));
    RankTensors tensors(plan, rank, batch);
    ForwardTensors forward = tensors.forward();
    if (rank == 1) forward.lse = {};
    return executor->Forward(forward);
  });
  EXPECT_EQ(status, absl::InvalidArgumentError("rank 1: tensor lse is null"));
}

// The error of rank 1 when it changes its tensors before a pass.
absl::Status RunChanged(const std::function<void(ForwardTensors*)>& change) {
  const Plan plan = MakeToyPlan(MakeProblem(2, model::Mask::Causal()));
  const TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 11);
  return RunThreads(2, [&](Transport* transport) -> absl::Status {
    const std::unique_ptr<Device> device = CreateCpuDevice();
    const int rank = transport->rank();
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, device.get()));
    RankTensors tensors(plan, rank, batch);
    ForwardTensors forward = tensors.forward();
    if (rank == 1) change(&forward);
    return executor->Forward(forward);
  });
}

TEST(ExecutorFailureTest, SizesAreThoseOfThePlan) {
  const auto shorten = [](ForwardTensors* t) { t->key = {t->key.data(), t->key.size() - 2}; };
  EXPECT_THAT(std::string(RunChanged(shorten).message()),
              MatchesRegex("rank 1: tensor key has [0-9]+ bytes, [0-9]+ expected, "
                           "\\[[0-9]+ tokens, [0-9]+ heads, dim [0-9]+\\] of [a-z0-9]+"));
  const auto lengthen = [](ForwardTensors* t) { t->lse = {t->lse.data(), t->lse.size() + 4}; };
  EXPECT_THAT(std::string(RunChanged(lengthen).message()),
              MatchesRegex("rank 1: tensor lse has [0-9]+ bytes, [0-9]+ expected, "
                           "\\[[0-9]+ tokens, [0-9]+ heads\\] of f32"));
  const auto save = [](ForwardTensors* t) { t->saved = {t->lse.data(), 64}; };
  EXPECT_EQ(RunChanged(save),
            absl::InvalidArgumentError("rank 1: 0 bytes of saved memory expected, 64 found"));
}

// The CPU, but the first launch of each pass is slow.
class SlowDevice : public ForwardingDevice {
 private:
  absl::Status BeforeLaunch(const Launch& launch) override {
    if (launch.kind == Launch::Kind::kAttend) SleepOnce(&forward_);
    if (launch.kind == Launch::Kind::kAttendBackward) SleepOnce(&backward_);
    return absl::OkStatus();
  }
  static void SleepOnce(bool* slept) {
    if (!std::exchange(*slept, true)) absl::SleepFor(absl::Milliseconds(1500));
  }

  bool forward_ = false;
  bool backward_ = false;
};

// Each pass of rank 1 takes longer than the timeout, while rank 0 waits for it.
TEST(ExecutorTimeoutTest, RanksOfOneProcessWaitForARankThatComputes) {
  Plan plan = MakeToyPlan(MakeProblem(2, model::Mask::Causal()));
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 13);
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    const int rank = transport->rank();
    std::unique_ptr<Device> device = CreateCpuDevice();
    if (rank == 1) device = std::make_unique<SlowDevice>();
    ExecutorOptions options;
    options.timeout = absl::Seconds(1);
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, device.get(), options));
    RankTensors tensors(plan, rank, batch);
    RETURN_IF_ERROR(executor->Forward(tensors.forward()));
    RETURN_IF_ERROR(executor->Backward(tensors.backward()));
    return transport->AllGather(0, options.timeout).status();
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST(ExecutorFailureTest, ARankThatNeverComesIsATimeoutThatNamesIt) {
  Plan plan = MakeToyPlan(MakeProblem(2, model::Mask::Causal()));
  TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 12);
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    std::unique_ptr<Device> device = CreateCpuDevice();
    int rank = transport->rank();
    // Long enough for both to be created, however slow the machine.
    ExecutorOptions options;
    options.timeout = absl::Seconds(1);
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, rank, transport, device.get(), options));
    if (rank == 1) return absl::OkStatus();
    RankTensors tensors(plan, rank, batch);
    return executor->Forward(tensors.forward());
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("rank 0, forward, stage 1"), HasSubstr("for rank 1")));
}

}  // namespace
}  // namespace flashcp

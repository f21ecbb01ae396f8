// Passes through the C interface on threads: exact against float64, and how they fail.

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "flashcp.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "tests/api/compiled_plan.h"
#include "tests/api/rank_run.h"

namespace flashcp {
namespace {

using api::Executor;
using api::Group;
using ::testing::HasSubstr;
using testing::PlanOf;
using testing::SmallPlan;
using testing::TensorsOf;

// The error of a rank; OK and empty if there was none.
struct Outcome {
  flashcp_status status = FLASHCP_OK;
  std::string text;
};

// Calls run(rank) on a thread for each rank, and returns what came of it.
std::vector<Outcome> OnThreads(int ranks, const std::function<void(int)>& run) {
  std::vector<Outcome> outcomes(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        run(rank);
      } catch (const api::Error& error) {
        outcomes[rank] = {error.status(), error.what()};
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

void ExpectOk(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.status, FLASHCP_OK) << outcome.text;
}

using Options = std::map<std::string, std::string>;

class PassTest : public ::testing::TestWithParam<Options> {};

// Two steps, the second with other tensors at other addresses, by one executor.
TEST_P(PassTest, IsExact) {
  const api::Plan plan = SmallPlan(GetParam());
  const Plan cpp = PlanOf(plan);
  const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/3);
  testing::GlobalResults results(cpp, batch);
  api::GroupOptions options;
  options.compute_threads = 2;
  const Group group = Group::Threads(plan.Info().ranks, options);
  ExpectOk(OnThreads(group.size(), [&](int rank) {
    Executor executor(plan, group, rank);
    testing::RankTensors first(cpp, rank, batch), second(cpp, rank, batch);
    for (testing::RankTensors* local : {&first, &second}) {
      const flashcp_tensors tensors = TensorsOf(local);
      executor.Forward(tensors);
      executor.Backward(tensors);
      executor.Synchronize();
    }
    EXPECT_EQ(first.output, second.output);
    results.Gather(rank, second);
  }));
  testing::ExpectExactStep(batch, results.Step());
}

INSTANTIATE_TEST_SUITE_P(
    Plans, PassTest,
    ::testing::Values(Options{}, Options{{"dtype", "bf16"}, {"ranks", "4"}},
                      Options{{"dtype", "f16"}, {"exchange", "all-gather"}},
                      Options{{"memory-budget", "1"}}, Options{{"strategy", "auto"}},
                      Options{{"scale", "0.9"}, {"heads", "2:2"}}, Options{{"ranks", "1"}},
                      Options{{"cluster", "h100-ib8"}, {"ranks", "8"}, {"heads", "8:4"}}));

// Layers of several masks share the group, in one order on all ranks.
TEST(GroupTest, ExecutorsOfSeveralPlansShareIt) {
  const api::Plan one = SmallPlan(), other = SmallPlan({{"strategy", "contiguous"}});
  const Group group = Group::Threads(3);
  EXPECT_EQ(group.size(), 3);
  EXPECT_EQ(group.rank(), -1);
  for (const api::Plan& plan : {one, other}) {
    const Plan cpp = PlanOf(plan);
    const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/4);
    testing::GlobalResults results(cpp, batch);
    ExpectOk(OnThreads(3, [&](int rank) {
      testing::RankTensors local(cpp, rank, batch);
      Executor executor(plan, group, rank);
      executor.Forward(TensorsOf(&local));
      executor.Backward(TensorsOf(&local));
      results.Gather(rank, local);
    }));
    testing::ExpectExactStep(batch, results.Step());
  }
}

TEST(GroupTest, AllGatherGivesTheRowsOfAllRanks) {
  const Group group = Group::Threads(3);
  const std::vector<uint64_t> rank_bytes = {4, 0, 8};
  ExpectOk(OnThreads(3, [&](int rank) {
    const std::vector<int32_t> local(rank_bytes[rank] / 4, 10 + rank);
    EXPECT_EQ(group.AllGather(rank, local, rank_bytes), (std::vector<int32_t>{10, 12, 12}));
  }));
}

TEST(GroupErrorTest, AllGatherOfDifferentSizes) {
  const Group group = Group::Threads(2);
  const auto outcomes = OnThreads(2, [&](int rank) {
    const std::vector<char> local(8);
    group.AllGather(rank, local, {8, rank == 0 ? uint64_t{8} : uint64_t{4}});
  });
  for (const Outcome& outcome : outcomes) EXPECT_NE(outcome.status, FLASHCP_OK);
}

TEST(GroupErrorTest, AllGatherOfNothingAtNull) {
  const Group group = Group::Threads(1);
  const uint64_t rank_bytes = 4;
  char all[4];
  EXPECT_EQ(flashcp_group_all_gather(group.get(), 0, nullptr, &rank_bytes, all),
            FLASHCP_INVALID_ARGUMENT);
  EXPECT_STREQ(flashcp_last_error(), "rank 0: local is null, 4 bytes expected");
}

// The plan and the group go while their executors run.
TEST(GroupTest, ExecutorsKeepWhatTheyUse) {
  flashcp_group* group;
  api::Check(flashcp_group_threads(1, nullptr, &group));
  const Plan cpp = PlanOf(SmallPlan({{"ranks", "1"}}));
  const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/5);
  testing::RankTensors local(cpp, 0, batch);
  const flashcp_tensors tensors = TensorsOf(&local);
  flashcp_plan* plan;
  api::Check(flashcp_plan_from_bytes(cpp.bytes().data(), cpp.bytes().size(), &plan));
  flashcp_executor* executor;
  api::Check(flashcp_executor_create(plan, group, 0, 1, &executor));
  flashcp_plan_destroy(plan);
  flashcp_group_destroy(group);
  EXPECT_EQ(flashcp_forward(executor, &tensors, nullptr), FLASHCP_OK);
  EXPECT_EQ(flashcp_backward(executor, &tensors, nullptr), FLASHCP_OK);
  flashcp_executor_destroy(executor);
}

// Runs a step of three ranks, of which rank 1 does `instead` of forward.
std::vector<Outcome> RunWith(const std::function<void(const Group& group, Executor* executor,
                                                      flashcp_tensors* tensors)>& instead,
                             bool backward = true) {
  const api::Plan plan = SmallPlan();
  const Plan cpp = PlanOf(plan);
  const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/6);
  const Group group = Group::Threads(3);
  return OnThreads(3, [&](int rank) {
    testing::RankTensors local(cpp, rank, batch);
    flashcp_tensors tensors = TensorsOf(&local);
    Executor executor(plan, group, rank, backward);
    if (rank == 1) {
      instead(group, &executor, &tensors);
    } else {
      executor.Forward(tensors);
    }
  });
}

void ExpectOthersAborted(const std::vector<Outcome>& outcomes, const std::string& text) {
  for (int rank : {0, 2}) {
    EXPECT_EQ(outcomes[rank].status, FLASHCP_ABORTED) << rank;
    EXPECT_THAT(outcomes[rank].text, HasSubstr("ended by rank 1: " + text));
  }
}

TEST(PassErrorTest, ATensorOfAnotherSizeEndsTheGroup) {
  const auto outcomes = RunWith([](const Group&, Executor* executor, flashcp_tensors* tensors) {
    tensors->value.bytes -= 4;
    executor->Forward(*tensors);
  });
  const std::string text = "rank 1: tensor value has ";
  EXPECT_EQ(outcomes[1].status, FLASHCP_INVALID_ARGUMENT);
  EXPECT_THAT(outcomes[1].text, HasSubstr(text));
  EXPECT_THAT(outcomes[1].text, HasSubstr("heads, dim 8] of f32"));
  ExpectOthersAborted(outcomes, text);
}

TEST(PassErrorTest, ATensorThatIsNull) {
  const auto outcomes = RunWith([](const Group&, Executor* executor, flashcp_tensors* tensors) {
    tensors->lse = {};
    executor->Forward(*tensors);
  });
  EXPECT_EQ(outcomes[1].text, "rank 1: tensor lse is null");
  ExpectOthersAborted(outcomes, outcomes[1].text);
}

TEST(PassErrorTest, AStreamOnTheCpu) {
  const auto outcomes = RunWith([](const Group&, Executor* executor, flashcp_tensors* tensors) {
    executor->Forward(*tensors, tensors);
  });
  EXPECT_EQ(outcomes[1].status, FLASHCP_INVALID_ARGUMENT);
  EXPECT_THAT(outcomes[1].text, HasSubstr("the CPU has none, pass null"));
  ExpectOthersAborted(outcomes, outcomes[1].text);
}

TEST(PassErrorTest, BackwardOfAnExecutorWithout) {
  const auto outcomes = RunWith([](const Group&, Executor* executor,
                                   flashcp_tensors* tensors) { executor->Backward(*tensors); },
                                /*backward=*/false);
  EXPECT_EQ(outcomes[1].status, FLASHCP_FAILED_PRECONDITION);
  ExpectOthersAborted(outcomes, outcomes[1].text);
}

TEST(PassErrorTest, AbortEndsTheOthers) {
  const auto outcomes = RunWith(
      [](const Group& group, Executor*, flashcp_tensors*) { group.Abort(1, "the loss is NaN"); });
  EXPECT_EQ(outcomes[1].status, FLASHCP_OK);
  ExpectOthersAborted(outcomes, "the loss is NaN");
}

// A watchdog of the trainer ends ranks that wait for one that never comes.
TEST(PassErrorTest, AbortFromAThreadOfNoRank) {
  const auto outcomes = RunWith([](const Group& group, Executor*, flashcp_tensors*) {
    std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      group.Abort(1, "told to end");
    }).join();
  });
  ExpectOthersAborted(outcomes, "told to end");
}

TEST(PassErrorTest, ARankThatDoesNotComeIsNamedInTime) {
  const api::Plan plan = SmallPlan();
  api::GroupOptions options;
  options.timeout_s = 0.2;
  const Group group = Group::Threads(3, options);
  const auto outcomes = OnThreads(3, [&](int rank) {
    if (rank != 1) Executor executor(plan, group, rank);
  });
  EXPECT_EQ(outcomes[0].status, FLASHCP_DEADLINE_EXCEEDED);
  EXPECT_THAT(outcomes[0].text, HasSubstr("for rank 1"));
}

// Two threads call rank 1: one waits for the other ranks, which come once the other is refused.
TEST(PassErrorTest, TwoThreadsInCallsOfOneRank) {
  const api::Plan plan = SmallPlan();
  const Plan cpp = PlanOf(plan);
  const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/7);
  const Group group = Group::Threads(3);
  std::promise<std::string> refusal;
  const std::shared_future<std::string> refused(refusal.get_future());
  ExpectOk(OnThreads(3, [&](int rank) {
    testing::RankTensors local(cpp, rank, batch), other(cpp, rank, batch);
    Executor executor(plan, group, rank);
    if (rank != 1) {
      refused.wait();
      executor.Forward(TensorsOf(&local));
      return;
    }
    const auto call = [&](testing::RankTensors* tensors) {
      try {
        executor.Forward(TensorsOf(tensors));
      } catch (const api::Error& error) {
        EXPECT_EQ(error.status(), FLASHCP_FAILED_PRECONDITION);
        refusal.set_value(error.what());
      }
    };
    std::thread second(call, &other);
    call(&local);
    second.join();
  }));
  EXPECT_EQ(refused.get(), "rank 1 is in a call of another thread: one at a time");
}

TEST(ExecutorErrorTest, PlansThatDiffer) {
  const api::Plan plan = SmallPlan(), other = SmallPlan({{"strategy", "contiguous"}});
  const Group group = Group::Threads(3);
  for (const Outcome& outcome :
       OnThreads(3, [&](int rank) { Executor(rank == 2 ? other : plan, group, rank); })) {
    EXPECT_EQ(outcome.status, FLASHCP_FAILED_PRECONDITION);
    EXPECT_THAT(outcome.text, HasSubstr("rank 2 has plan"));
  }
}

TEST(ExecutorErrorTest, AGroupOfAnotherSize) {
  const api::Plan plan = SmallPlan();
  const Group group = Group::Threads(2);
  for (const Outcome& outcome : OnThreads(2, [&](int rank) { Executor(plan, group, rank); })) {
    EXPECT_EQ(outcome.status, FLASHCP_INVALID_ARGUMENT);
    EXPECT_THAT(outcome.text, HasSubstr("plan is for 3 ranks"));
  }
}

// The code and the text of a call that fails.
void ExpectError(flashcp_status found, flashcp_status expected, const std::string& text) {
  EXPECT_EQ(found, expected);
  EXPECT_THAT(flashcp_last_error(), HasSubstr(text));
}

TEST(ExecutorErrorTest, RanksThatTheGroupDoesNotHave) {
  const api::Plan plan = SmallPlan();
  const Group group = Group::Threads(3);
  for (int rank : {-1, 3}) {
    const std::string text = "rank " + std::to_string(rank) + ": this process has ranks 0 to 2";
    flashcp_executor* executor = reinterpret_cast<flashcp_executor*>(1);
    ExpectError(flashcp_executor_create(plan.get(), group.get(), rank, 1, &executor),
                FLASHCP_INVALID_ARGUMENT, text);
    EXPECT_EQ(executor, nullptr);
    ExpectError(flashcp_group_abort(group.get(), rank, "why"), FLASHCP_INVALID_ARGUMENT, text);
  }
}

TEST(ExecutorErrorTest, KernelsThatThereAreNot) {
  const api::Plan plan = SmallPlan({{"ranks", "1"}});
  api::GroupOptions options;
  options.kernels = "avx1024";
  const Group group = Group::Threads(1, options);
  flashcp_executor* executor;
  ExpectError(flashcp_executor_create(plan.get(), group.get(), 0, 1, &executor),
              FLASHCP_INVALID_ARGUMENT, "avx1024");
}

TEST(GroupErrorTest, OptionsOutOfRange) {
  flashcp_group* group;
  const auto make = [&](const flashcp_group_options& options) {
    return flashcp_group_threads(2, &options, &group);
  };
  const size_t size = sizeof(flashcp_group_options);
  ExpectError(make({0, 1, nullptr, 0}), FLASHCP_INVALID_ARGUMENT, "struct_size is 0");
  ExpectError(make({size, -1, nullptr, 0}), FLASHCP_INVALID_ARGUMENT, "compute_threads is -1");
  ExpectError(make({size, 1, nullptr, std::nan("")}), FLASHCP_INVALID_ARGUMENT, "timeout_s");
  for (int ranks : {-1, 0, 4097}) {
    ExpectError(flashcp_group_threads(ranks, nullptr, &group), FLASHCP_INVALID_ARGUMENT,
                "ranks are " + std::to_string(ranks) + ": must be from 1 to 4096");
  }
  // Options of a program that was built before `kernels` and `timeout_s` were there.
  EXPECT_EQ(make({offsetof(flashcp_group_options, kernels), 2, nullptr, -7}), FLASHCP_OK);
  flashcp_group_destroy(group);
}

TEST(ExecutorErrorTest, ArgumentsThatAreNull) {
  const api::Plan plan = SmallPlan();
  const Group group = Group::Threads(3);
  flashcp_executor* executor;
  flashcp_tensors tensors = {};
  const auto expect_null = [](flashcp_status status, const std::string& what) {
    ExpectError(status, FLASHCP_INVALID_ARGUMENT, what + " is null");
  };
  expect_null(flashcp_group_threads(2, nullptr, nullptr), "flashcp_group_threads: group");
  expect_null(flashcp_group_mpi(nullptr, nullptr, nullptr), "flashcp_group_mpi: group");
  expect_null(flashcp_group_abort(nullptr, 0, "why"), "flashcp_group_abort: group");
  expect_null(flashcp_group_abort(group.get(), 0, nullptr), "flashcp_group_abort: reason");
  expect_null(flashcp_group_all_gather(nullptr, 0, nullptr, nullptr, nullptr), "group");
  expect_null(flashcp_group_all_gather(group.get(), 0, nullptr, nullptr, nullptr), "rank_bytes");
  expect_null(flashcp_executor_create(nullptr, group.get(), 0, 1, &executor), "plan");
  expect_null(flashcp_executor_create(plan.get(), nullptr, 0, 1, &executor), "group");
  expect_null(flashcp_executor_create(plan.get(), group.get(), 0, 1, nullptr), "executor");
  expect_null(flashcp_forward(nullptr, &tensors, nullptr), "flashcp_forward: executor");
  expect_null(flashcp_backward(nullptr, &tensors, nullptr), "flashcp_backward: executor");
  expect_null(flashcp_synchronize(nullptr, 0), "flashcp_synchronize: executor");
  EXPECT_EQ(flashcp_group_size(nullptr), 0);
  EXPECT_EQ(flashcp_group_rank(nullptr), -1);
  flashcp_executor_destroy(nullptr);
  flashcp_group_destroy(nullptr);
}

}  // namespace
}  // namespace flashcp

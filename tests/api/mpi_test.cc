// Groups of processes through the C interface: exact, refused ranks, and the end of all by one.

#include <mpi.h>

#include <chrono>
#include <cstdint>
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

// Compares the rows of this rank with what threads of this process compute.
TEST(MpiGroupTest, RanksComputeWhatThreadsCompute) {
  const Group group = Group::Mpi();
  ASSERT_EQ(group.size(), 3);
  const int rank = group.rank();
  for (const char* dtype : {"f32", "bf16"}) {
    const api::Plan plan = SmallPlan({{"dtype", dtype}});
    const Plan cpp = PlanOf(plan);
    const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/8);
    testing::RankTensors found(cpp, rank, batch), expected(cpp, rank, batch);
    Executor executor(plan, group, rank);
    executor.Forward(TensorsOf(&found));
    executor.Backward(TensorsOf(&found));
    const Group threads = Group::Threads(3);
    const auto run = [&](int r, testing::RankTensors* local) {
      Executor executor(plan, threads, r);
      executor.Forward(TensorsOf(local));
      executor.Backward(TensorsOf(local));
    };
    testing::RankTensors second(cpp, (rank + 1) % 3, batch), third(cpp, (rank + 2) % 3, batch);
    std::thread one(run, (rank + 1) % 3, &second), two(run, (rank + 2) % 3, &third);
    run(rank, &expected);
    one.join(), two.join();
    EXPECT_EQ(found.output, expected.output);
    EXPECT_EQ(found.lse, expected.lse);
    EXPECT_EQ(found.query_gradient, expected.query_gradient);
    EXPECT_EQ(found.key_gradient, expected.key_gradient);
    EXPECT_EQ(found.value_gradient, expected.value_gradient);
  }
}

TEST(MpiGroupTest, JoinsTheProcessesOfACommunicator) {
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm reversed;
  MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &reversed);
  const int handle = MPI_Comm_c2f(reversed);
  const Group group = Group::Mpi(&handle);
  EXPECT_EQ(group.rank(), 2 - rank);
  MPI_Comm_free(&reversed);  // the group has communicators of its own
}

TEST(MpiGroupTest, AllGatherGivesTheRowsOfAllRanks) {
  const Group group = Group::Mpi();
  const std::vector<uint64_t> rank_bytes = {4, 0, 8};
  const std::vector<int32_t> local(rank_bytes[group.rank()] / 4, 10 + group.rank());
  EXPECT_EQ(group.AllGather(group.rank(), local, rank_bytes), (std::vector<int32_t>{10, 12, 12}));
}

TEST(MpiGroupTest, RanksOfOtherProcessesAreRefused) {
  const Group group = Group::Mpi();
  const api::Plan plan = SmallPlan();
  const int other = (group.rank() + 1) % 3;
  flashcp_executor* executor;
  EXPECT_EQ(flashcp_executor_create(plan.get(), group.get(), other, 1, &executor),
            FLASHCP_INVALID_ARGUMENT);
  EXPECT_THAT(flashcp_last_error(),
              HasSubstr("rank " + std::to_string(other) + ": this process has rank " +
                        std::to_string(group.rank())));
  EXPECT_EQ(flashcp_group_abort(group.get(), other, "why"), FLASHCP_INVALID_ARGUMENT);
}

// The last: what is left of messages keeps MPI busy. Rank 1 waits in a pass for others that never
// come until another thread of its process ends the group.
TEST(MpiGroupTest, AbortEndsAWaitOfAnotherThread) {
  const Group group = Group::Mpi();
  const int rank = group.rank();
  const api::Plan plan = SmallPlan();
  const Plan cpp = PlanOf(plan);
  const testing::TestBatch batch(DocumentsOf(*cpp), KernelSpecOf(cpp), /*seed=*/9);
  testing::RankTensors local(cpp, rank, batch);
  Executor executor(plan, group, rank);
  std::thread watchdog;
  if (rank == 1) {
    watchdog = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      group.Abort(1, "told to end");
    });
  } else {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));  // longer than rank 1 waits
  }
  try {
    executor.Forward(TensorsOf(&local));
    ADD_FAILURE() << "rank " << rank << " has finished a pass that was ended";
  } catch (const api::Error& error) {
    EXPECT_EQ(error.status(), FLASHCP_ABORTED);
    EXPECT_THAT(error.what(), HasSubstr("ended by rank 1: told to end"));
  }
  if (watchdog.joinable()) watchdog.join();
}

}  // namespace
}  // namespace flashcp

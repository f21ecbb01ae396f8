// The timeline of a step: what executors record, and how it is told.

#include "runtime/trace.h"

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::testing {
namespace {

using ::testing::ElementsAre;

// Runs two steps on all ranks: the traces of the last one, by rank.
std::vector<RankTrace> Traces(const Plan& plan, bool backward) {
  const TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), /*seed=*/0);
  std::vector<RankTrace> traces(plan.num_ranks());
  absl::Status status = RunThreads(plan.num_ranks(), [&](Transport* transport) -> absl::Status {
    std::unique_ptr<Device> device = CreateCpuDevice();
    ExecutorOptions options;
    options.backward = backward;
    options.trace = &traces[transport->rank()];
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, transport->rank(), transport, device.get(), options));
    RankTensors tensors(plan, transport->rank(), batch);
    for (int step = 0; step < 2; ++step) {
      RETURN_IF_ERROR(executor->Forward(tensors.forward()));
      if (backward) RETURN_IF_ERROR(executor->Backward(tensors.backward()));
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return traces;
}

std::vector<std::string> NamesOf(const std::vector<TraceEvent>& events, bool backward) {
  std::vector<std::string> names;
  for (const TraceEvent& event : events) {
    if (event.backward == backward) names.push_back(event.name);
  }
  return names;
}

TEST(TraceTest, EveryInstructionHasASpanThatStartsWhenItsWaitsHaveEnded) {
  const Plan plan = MakeToyPlan(RelayedToyProblem());
  const std::vector<RankTrace> traces = Traces(plan, /*backward=*/true);
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
    auto expect = [&](const auto& program, const std::vector<TraceSpan>& spans) {
      absl::Span<const fbs::Instruction> instructions = Items(program.instructions());
      ASSERT_EQ(spans.size(), instructions.size());
      int64_t computed = 0;
      for (size_t i = 0; i < spans.size(); ++i) {
        SCOPED_TRACE(::testing::Message() << "rank " << rank << ", instruction " << i);
        EXPECT_GT(spans[i].begin_ns, 0);
        EXPECT_GE(spans[i].end_ns, spans[i].begin_ns);
        for (uint32_t w = instructions[i].wait_begin(); w < instructions[i].wait_end(); ++w) {
          EXPECT_LE(spans[Items(program.waits())[w].instruction()].end_ns, spans[i].begin_ns);
        }
        if (instructions[i].stream() != fbs::Stream::compute) continue;
        EXPECT_LE(computed, spans[i].begin_ns);  // one after the other
        computed = spans[i].end_ns;
      }
    };
    expect(*rank_plan.forward(), traces[rank].forward);
    expect(*rank_plan.backward(), traces[rank].backward);
    EXPECT_LE(traces[rank].forward.back().end_ns, traces[rank].backward.front().begin_ns);
  }
}

TEST(TraceTest, EventsSayWhatInstructionsAre) {
  const Plan plan = MakeToyPlan(SmallToyProblem());
  RankTrace trace;
  trace.forward.resize(Items(plan->ranks()->Get(0)->forward()->instructions()).size());
  trace.backward.resize(Items(plan->ranks()->Get(0)->backward()->instructions()).size());
  const std::vector<TraceEvent> events = TraceEvents(plan, 0, trace);
  EXPECT_THAT(NamesOf(events, /*backward=*/false),
              ElementsAre("attend stage 0", "exchange stage 1", "attend stage 1"));
  EXPECT_THAT(NamesOf(events, /*backward=*/true),
              ::testing::IsSupersetOf({"clear gradients", "exchange re-sent stage 1",
                                       "attend backward stage 1", "pack gradients stage 1",
                                       "exchange gradients stage 1", "add gradients stage 1",
                                       "store gradients"}));
  // Rank 0 receives 6 rows of K and V and sends 9, of 2 heads of 8 floats.
  EXPECT_EQ(events[0].tiles, 4);
  EXPECT_EQ(events[1].messages, 2);
  EXPECT_EQ(events[1].receive_bytes, 6 * 2 * 64);
  EXPECT_EQ(events[1].send_bytes, 9 * 2 * 64);
  // Queries [9, 12) against keys [3, 9), 4 heads.
  EXPECT_EQ(events[2].pairs, 3 * 6 * 4);
  for (const TraceEvent& event : events) {
    if (event.name != "exchange gradients stage 1") continue;
    EXPECT_EQ(event.receive_bytes, 9 * 2 * 64);
    EXPECT_EQ(event.send_bytes, 6 * 2 * 64);
  }
}

TEST(TraceTest, SpansNameTheHeadGroup) {
  ToyProblem problem = SmallToyProblem();
  problem.head_groups = 2;
  const Plan plan = MakeToyPlan(problem);
  const std::vector<RankTrace> traces = Traces(plan, /*backward=*/true);
  const std::vector<TraceEvent> events = TraceEvents(plan, 0, traces[0]);
  EXPECT_THAT(
      NamesOf(events, /*backward=*/false),
      ElementsAre("attend stage 0 group 0", "exchange stage 1 group 0", "attend stage 1 group 0",
                  "attend stage 0 group 1", "exchange stage 1 group 1", "attend stage 1 group 1"));
  EXPECT_THAT(NamesOf(events, /*backward=*/true),
              ::testing::IsSupersetOf({"clear gradients group 0", "clear gradients stage 1 group 1",
                                       "store gradients group 1"}));
  EXPECT_EQ(events[5].instruction, 2);
  // Those of a group: queries [9, 12) against keys [3, 9), 2 of the 4 heads.
  EXPECT_EQ(events[5].pairs, 3 * 6 * 2);
  EXPECT_LE(events[2].span.end_ns, events[5].span.begin_ns);
}

// Every rank has every document whole: exchanges and stages are there, and have nothing to do.
TEST(TraceTest, InstructionsWithNothingToDoHaveNoEvents) {
  ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{5, {{0, 5, 0}}}, {5, {{0, 5, 1}}}};
  const Plan plan = MakeToyPlan(problem);
  const std::vector<RankTrace> traces = Traces(plan, /*backward=*/true);
  for (int rank = 0; rank < 2; ++rank) {
    const std::vector<TraceEvent> events = TraceEvents(plan, rank, traces[rank]);
    EXPECT_GT(traces[rank].forward.size(), 1);
    EXPECT_THAT(NamesOf(events, /*backward=*/false), ElementsAre("attend stage 0"));
    EXPECT_THAT(NamesOf(events, /*backward=*/true),
                ElementsAre("clear gradients", "attend backward stage 0", "store gradients"));
  }
}

TEST(TraceTest, ExchangesThatOverlapHaveLanesOfTheirOwn) {
  ToyProblem problem = SmallToyProblem();
  problem.remote_stages = 2;
  const Plan plan = MakeToyPlan(problem);
  absl::Span<const fbs::Instruction> instructions =
      Items(plan->ranks()->Get(1)->forward()->instructions());
  RankTrace trace;
  int64_t begin = 0;
  for (const fbs::Instruction& instruction : instructions) {
    const bool exchange = instruction.stream() == fbs::Stream::communication;
    trace.forward.push_back({begin, begin + (exchange ? 25 : 10)});
    begin += 10;
  }
  std::vector<int> lanes;
  for (const TraceEvent& event : TraceEvents(plan, 1, trace)) {
    if (event.stream == fbs::Stream::communication) lanes.push_back(event.lane);
    if (event.stream == fbs::Stream::compute) {
      EXPECT_EQ(event.lane, 0);
    }
  }
  EXPECT_THAT(lanes, ElementsAre(0, 1));
}

TEST(TraceTest, APassThatIsNotRecordedHasNoEvents) {
  const Plan plan = MakeToyPlan(SmallToyProblem());
  const std::vector<RankTrace> traces = Traces(plan, /*backward=*/false);
  EXPECT_EQ(TraceEvents(plan, 0, traces[0]).size(), 3);
  EXPECT_TRUE(traces[0].backward.empty());
}

}  // namespace
}  // namespace flashcp::testing

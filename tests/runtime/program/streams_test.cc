// Passes on streams: each event wait and each record is needed, and what goes wrong is found by the
// watchdog, which names the place.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/program/bound_program.h"
#include "runtime/program/event_plan.h"
#include "runtime/threads/run_threads.h"
#include "tests/runtime/program/step_name.h"
#include "tests/testing/fake_machine.h"
#include "tests/testing/run_on_streams.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Four ranks on two nodes, two stages, several documents.
ToyProblem ManyStages() {
  ToyProblem problem;
  problem.ranks = 4;
  problem.ranks_per_node = 2;
  problem.remote_stages = 2;
  for (uint32_t length : {13u, 22u}) {
    problem.documents.push_back({length, DealZigzag(length, 8, 4)});
  }
  return problem;
}

// The last two in rounds, and with stages that share memory.
std::vector<Plan> Plans() {
  ToyProblem rounds = RelayedToyProblem();
  rounds.head_groups = 2;
  ToyProblem slots = ManyStages();
  slots.remote_stages = 5;
  for (uint32_t length : {17u, 9u, 23u}) {
    slots.documents.push_back({length, DealZigzag(length, 8, 4)});
  }
  slots.reuse = true;
  return {MakeToyPlan(SmallToyProblem()),
          MakeToyPlan(RelayedToyProblem()),
          MakeToyPlan(SavedToyProblem()),
          MakeToyPlan(ManyStages()),
          MakeToyPlan(rounds),
          MakeToyPlan(slots)};
}

TestBatch BatchOf(const Plan& plan) {
  return TestBatch(DocumentsOf(*plan), KernelSpecOf(plan), 17);
}

bool Contains(const absl::Status& status, const std::string& text) {
  return status.message().find(text) != absl::string_view::npos;
}

// What a run that was tampered with shows of the rank in question.
struct Shown {
  int records = 0, waits = 0;
  bool races = false;
  absl::Status found;  // by Synchronize(0), once nothing goes on
};

// Two steps of all ranks. `run`: lets the machine go.
Shown RunSabotaged(const Plan& plan, const TestBatch& batch, const Sabotage& sabotage,
                   bool with_caller, bool run) {
  const int ranks = plan.num_ranks();
  FakeMachine::Options options;
  options.gathers = false;
  options.held = true;
  options.sabotage = sabotage;
  FakeMachine machine(ranks, options);
  std::vector<std::unique_ptr<RankOnStreams>> running(ranks);
  OnAllRanks(ranks, [&](int rank) {
    auto created = RankOnStreams::Create(&machine, plan, rank, batch, with_caller);
    ASSERT_TRUE(created.ok()) << created.status();
    running[rank] = *std::move(created);
    for (int step = 0; step < 2; ++step) ASSERT_TRUE(running[rank]->EnqueueStep().ok());
  });
  if (run) {
    machine.Release();
    machine.AwaitIdle();
  }
  Shown shown;
  shown.records = machine.num_records(sabotage.rank);
  shown.waits = machine.num_waits(sabotage.rank);
  shown.races = !machine.races(sabotage.rank).empty();
  shown.found = running[sabotage.rank]->executor()->Synchronize(absl::ZeroDuration());
  machine.Stop();
  for (auto& rank : running) rank->transport()->Abort(absl::CancelledError("over"));
  return shown;
}

// What each wait of two steps is for, in the order in which a rank makes them.
std::vector<std::string> NamesOfWaits(const Plan& plan, int rank, bool with_caller) {
  std::vector<std::string> names;
  std::vector<int> last_ends;  // their streams
  for (int pass = 0; pass < 4; ++pass) {
    const bool backward = pass % 2 == 1;
    const BoundProgram bound = backward ? BindBackward(plan, rank) : BindForward(plan, rank);
    const EventPlan events = PlanEvents(bound);
    auto add = [&](const std::string& name) {
      names.push_back(absl::StrCat(backward ? "backward" : "forward", ": ", name));
    };
    for (int stream : {0, 1}) {
      if (!events.begins[stream]) continue;
      if (with_caller) add(absl::StrCat("stream ", stream, " begins after the caller"));
      for (int end : last_ends) {
        if (!with_caller && end != stream) add(absl::StrCat("stream ", stream, " begins"));
      }
    }
    for (size_t step = 0; step < events.waits.size(); ++step) {
      for (uint32_t wait : events.waits[step]) {
        add(absl::StrCat(NameOfStep(bound, step), " waits for ", NameOfStep(bound, wait)));
      }
    }
    last_ends.clear();
    for (uint32_t end : events.ends) {
      last_ends.push_back(IsExchange(bound.InstructionOf(end)));
      if (with_caller) add("the caller waits for the end");
    }
  }
  return names;
}

// A wait is left out on one rank after the other: on one of them at least, something races. A rank
// that receives nothing in an exchange does not need to wait for it.
//
// Two waits are for other plans: without a caller, communication begins forward after the backward
// pass before, and computation begins backward after the last rows were sent on. What comes later
// there touches no memory of the other pass in these plans; in those of the compiler it may.
TEST(StreamsTest, EachWaitIsNeeded) {
  for (const Plan& plan : Plans()) {
    const TestBatch batch = BatchOf(plan);
    for (bool with_caller : {true, false}) {
      std::map<std::string, bool> caught;
      for (int rank = 0; rank < plan.num_ranks(); ++rank) {
        const std::vector<std::string> names = NamesOfWaits(plan, rank, with_caller);
        Sabotage sabotage;
        sabotage.rank = rank;
        const Shown whole = RunSabotaged(plan, batch, sabotage, with_caller, false);
        EXPECT_FALSE(whole.races);
        ASSERT_EQ(whole.waits, names.size());
        for (sabotage.skip_wait = 0; sabotage.skip_wait < whole.waits; ++sabotage.skip_wait) {
          bool& is_caught = caught[names[sabotage.skip_wait]];
          is_caught = is_caught || RunSabotaged(plan, batch, sabotage, with_caller, false).races;
        }
      }
      for (const auto& [name, is_caught] : caught) {
        EXPECT_TRUE(is_caught || name == "forward: stream 1 begins" ||
                    name == "backward: stream 0 begins")
            << name << ", caller " << with_caller << ", ranks " << plan.num_ranks();
      }
    }
  }
}

// Where a stream stands still behind an instruction, the watchdog names it. Without the record of
// this instruction it does not, or there is a race.
TEST(StreamsTest, EachRecordIsNeeded) {
  for (const Plan& plan : Plans()) {
    const TestBatch batch = BatchOf(plan);
    for (int rank = 0; rank < plan.num_ranks(); ++rank) {
      const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
      int record = 0;
      for (bool backward : {false, true}) {
        const int instructions = backward ? Items(rank_plan.backward()->instructions()).size()
                                          : Items(rank_plan.forward()->instructions()).size();
        const int rounds = plan->head_groups();
        for (int step = -1; step < rounds * instructions; ++step, ++record) {
          Sabotage sabotage;
          sabotage.rank = rank;
          sabotage.stop_at_record = record;
          const int named = std::max(step, 0);
          const std::string place = absl::StrCat(", instruction ", named % instructions, " (");
          const std::string group =
              rounds > 1 ? absl::StrCat("head group ", named / instructions, ", ") : "";
          auto names_it = [&](const absl::Status& status) {
            return absl::IsDeadlineExceeded(status) &&
                   Contains(status, absl::StrCat(backward ? ", backward, " : ", forward, ", group,
                                                 "stage ")) &&
                   Contains(status, place);
          };
          const Shown stopped = RunSabotaged(plan, batch, sabotage, true, true);
          EXPECT_TRUE(names_it(stopped.found)) << stopped.found << place;
          sabotage.skip_record = record;
          const Shown left_out = RunSabotaged(plan, batch, sabotage, true, true);
          EXPECT_TRUE(left_out.races || !names_it(left_out.found))
              << "rank " << rank << ", record " << record;
        }
      }
    }
  }
}

// Errors of all ranks, each as its Synchronize says it.
std::vector<absl::Status> RunToTheEnd(const Plan& plan, const Sabotage& sabotage,
                                      absl::Duration timeout) {
  const TestBatch batch = BatchOf(plan);
  FakeMachine::Options options;
  options.sabotage = sabotage;
  FakeMachine machine(plan.num_ranks(), options);
  std::vector<std::unique_ptr<RankOnStreams>> running(plan.num_ranks());
  std::vector<absl::Status> errors(plan.num_ranks());
  OnAllRanks(plan.num_ranks(), [&](int rank) {
    auto created = RankOnStreams::Create(&machine, plan, rank, batch);
    ASSERT_TRUE(created.ok()) << created.status();
    running[rank] = *std::move(created);
    errors[rank] = running[rank]->EnqueueStep();
    if (errors[rank].ok()) errors[rank] = running[rank]->executor()->Synchronize(timeout);
  });
  machine.Stop();
  return errors;
}

TEST(StreamsTest, ALaunchThatFailsEndsAllRanksAndIsNamed) {
  const Plan plan = MakeToyPlan(SmallToyProblem());
  Sabotage sabotage;
  sabotage.rank = 1;
  for (sabotage.fail_launch = 0; sabotage.fail_launch < 4; ++sabotage.fail_launch) {
    const std::vector<absl::Status> errors = RunToTheEnd(plan, sabotage, absl::InfiniteDuration());
    EXPECT_EQ(errors[1].code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(errors[1].message()),
                AllOf(StartsWith("rank 1, "), HasSubstr("instruction "),
                      HasSubstr("the device is on fire")));
    EXPECT_EQ(errors[0].code(), absl::StatusCode::kAborted) << errors[0];
    EXPECT_THAT(std::string(errors[0].message()), HasSubstr("the device is on fire"));
  }
}

TEST(StreamsTest, AnExchangeThatDoesNotEndNamesItsPeer) {
  const Plan plan = MakeToyPlan(SmallToyProblem());
  Sabotage sabotage;
  sabotage.rank = 1;
  sabotage.stop_at_record = 0;  // of the caller: rank 1 never begins
  const std::vector<absl::Status> errors = RunToTheEnd(plan, sabotage, absl::Milliseconds(200));
  const auto& late =
      errors[0].code() == absl::StatusCode::kDeadlineExceeded ? errors[0] : errors[1];
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(late.message()), HasSubstr(" waited 200ms for "));
  for (const absl::Status& error : errors) EXPECT_FALSE(error.ok());
}

// Rank 2 owns nothing: its passes have no instructions.
TEST(StreamsTest, ARankWithoutInstructionsLearnsOfTheEnd) {
  ToyProblem problem = SmallToyProblem();
  problem.ranks = 3;
  const Plan plan = MakeToyPlan(problem);
  ASSERT_TRUE(Items(plan->ranks()->Get(2)->forward()->instructions()).empty());
  Sabotage sabotage;
  sabotage.rank = 2;
  sabotage.stop_at_record = 0;  // of the caller
  const std::vector<absl::Status> errors = RunToTheEnd(plan, sabotage, absl::Seconds(1));
  EXPECT_EQ(errors[2].code(), absl::StatusCode::kDeadlineExceeded) << errors[2];
  EXPECT_THAT(std::string(errors[2].message()),
              StartsWith("rank 2, forward: rank 2 waited 1s for its device"));
}

TEST(StreamsTest, DeviceAndTransportBothHaveStreams) {
  const Plan plan = MakeToyPlan(SmallToyProblem());
  FakeMachine machine(2, {});
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    const std::unique_ptr<Device> device = machine.MakeDevice(transport->rank());
    return Executor::Create(plan, transport->rank(), transport, device.get()).status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("on streams, the transport does not"));
}

}  // namespace
}  // namespace flashcp::testing

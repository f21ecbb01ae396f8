// A thousand seeded runs, forward and backward, on transports and devices that misbehave: the exact
// answer where messages are only late or reordered, else an error on every rank that says where.

#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/threads/threads_transport.h"
#include "support/status_macros.h"
#include "tests/testing/faulty_transport.h"
#include "tests/testing/forwarding_device.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using testing::DealZigzag;
using testing::Fault;
using testing::FaultyTransport;
using testing::RankTensors;
using testing::TestBatch;
using testing::ToyProblem;

// What the rank that is hit does.
enum class Kind { kLate, kDrop, kTruncate, kVanish, kDeviceError, kDeviceThrows, kThrow };
constexpr int kKinds = 7;
constexpr int kRuns = 1000;

// The CPU, but launch number `strike` fails.
class FaultyDevice : public testing::ForwardingDevice {
 public:
  FaultyDevice(Kind kind, int strike) : kind_(kind), strike_(strike) {}

  bool struck() const { return struck_; }

 private:
  absl::Status BeforeLaunch(const Launch& launch) override {
    if (!IsAttend(launch) || strike_-- != 0) return absl::OkStatus();
    if (kind_ == Kind::kDeviceError) {
      struck_ = true;
      return absl::InternalError("the device is on fire");
    }
    if (kind_ == Kind::kDeviceThrows) {
      struck_ = true;
      throw std::runtime_error("the device is on fire");
    }
    return absl::OkStatus();
  }

  const Kind kind_;
  int strike_;
  bool struck_ = false;
};

struct Scenario {
  Kind kind;
  int victim;
  int strike;
  uint64_t seed;
};

struct RankOutcome {
  absl::Status status;
  bool struck = false;
  std::array<std::vector<char>, 4> results;  // O, dQ, dK, dV
  std::vector<float> lse;
};

bool operator==(const RankOutcome& a, const RankOutcome& b) {
  return a.results == b.results && a.lse == b.lse;
}

// Both passes, then all ranks meet, as they do between two steps.
absl::Status RunPasses(Executor* executor, Transport* transport, absl::Duration timeout,
                       RankTensors* tensors) {
  RETURN_IF_ERROR(executor->Forward(tensors->forward()));
  RETURN_IF_ERROR(executor->Backward(tensors->backward()));
  const absl::Status met = transport->AllGather(0, timeout).status();
  if (met.ok()) return met;
  return absl::Status(
      met.code(), absl::StrCat("rank ", transport->rank(), ", after the step: ", met.message()));
}

Fault TransportFault(Kind kind) {
  switch (kind) {
    case Kind::kDrop:
      return Fault::kDrop;
    case Kind::kTruncate:
      return Fault::kTruncate;
    case Kind::kVanish:
      return Fault::kVanish;
    case Kind::kThrow:
      return Fault::kThrow;
    default:
      return Fault::kNone;
  }
}

void RunRank(const Plan& plan, const TestBatch& batch, const Scenario& scenario,
             std::unique_ptr<Transport> inner, RankOutcome* outcome) {
  const int rank = inner->rank();
  const bool hit = rank == scenario.victim;
  FaultyTransport transport(std::move(inner), scenario.seed * 16 + rank,
                            hit ? TransportFault(scenario.kind) : Fault::kNone, scenario.strike);
  FaultyDevice device(hit ? scenario.kind : Kind::kLate, scenario.strike);
  RankTensors tensors(plan, rank, batch);
  // Only runs that must end in an error may run out of time.
  const bool waits = scenario.kind == Kind::kDrop || scenario.kind == Kind::kVanish;
  ExecutorOptions options;
  options.timeout = waits ? absl::Milliseconds(50) : absl::Minutes(1);
  absl::StatusOr<std::unique_ptr<Executor>> executor =
      Executor::Create(plan, rank, &transport, &device, options);
  outcome->status = executor.status();
  if (executor.ok()) {
    outcome->status = RunPasses(executor->get(), &transport, options.timeout, &tensors);
  }
  outcome->struck = transport.struck() || device.struck();
  outcome->results = {tensors.output, tensors.query_gradient, tensors.key_gradient,
                      tensors.value_gradient};
  outcome->lse = tensors.lse;
}

std::vector<RankOutcome> RunAll(const Plan& plan, const TestBatch& batch,
                                const Scenario& scenario) {
  ThreadsGroup group(plan.num_ranks());
  std::vector<RankOutcome> outcomes(plan.num_ranks());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    threads.emplace_back(
        [&, rank] { RunRank(plan, batch, scenario, group.MakeTransport(rank), &outcomes[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

// Where this rank was, and which peer it was about: its own, or that of the rank that failed.
void ExpectNamesThePlace(const Scenario& scenario, int rank, const absl::Status& status) {
  const std::string message(status.message());
  EXPECT_FALSE(status.ok()) << "rank " << rank;
  EXPECT_THAT(message,
              ::testing::ContainsRegex(absl::StrCat("^rank ", rank,
                                                    ", (after the step|(forward|backward), "
                                                    "(head group [0-9]+, )?stage [0-9]+, "
                                                    "instruction [0-9]+ \\([a-z_]+\\)): ")));
  const bool device = scenario.kind == Kind::kDeviceError || scenario.kind == Kind::kDeviceThrows;
  if (device) {
    EXPECT_THAT(message, ::testing::HasSubstr("the device is on fire"));
  }
  const std::string own = absl::StrCat("rank ", rank, ", ");
  const bool wire = scenario.kind == Kind::kThrow;
  if (wire) {
    EXPECT_THAT(message, ::testing::HasSubstr("the transport threw the wire is cut"));
  }
  const bool alone = rank == scenario.victim && (device || wire || scenario.kind == Kind::kVanish);
  if (!alone) {
    EXPECT_THAT(message.substr(own.size()), ::testing::ContainsRegex("rank [0-9]+"));
  }
}

struct Prepared {
  Plan plan;
  TestBatch batch;
  std::vector<RankOutcome> expected;
};

ToyProblem ZigzagProblem(int ranks, int stages, int node, fbs::Exchange exchange) {
  ToyProblem problem;
  problem.ranks = ranks;
  problem.remote_stages = stages;
  problem.ranks_per_node = node;
  problem.exchange = exchange;
  for (uint32_t length : {13u, 0u, 22u}) {
    problem.documents.push_back({length, DealZigzag(length, 2 * ranks, ranks)});
  }
  return problem;
}

// Plans with the right answer of each: the bits of a run without faults, which is exact.
std::vector<Prepared> Prepare() {
  std::vector<Prepared> all;
  ToyProblem rounds = ZigzagProblem(4, 5, 2, fbs::Exchange::needed);
  rounds.head_groups = 2;
  rounds.reuse = true;
  for (const ToyProblem& problem :
       {testing::SmallToyProblem(), testing::RelayedToyProblem(), testing::SavedToyProblem(),
        ZigzagProblem(3, 2, 1, fbs::Exchange::needed),
        ZigzagProblem(4, 2, 2, fbs::Exchange::needed),
        ZigzagProblem(3, 1, 1, fbs::Exchange::all_gather), rounds}) {
    Plan plan = testing::MakeToyPlan(problem);
    TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), 17);
    absl::StatusOr<testing::TestStep> step = testing::RunPlanBackward(plan, batch);
    EXPECT_TRUE(step.ok()) << step.status();
    if (step.ok()) testing::ExpectExactStep(batch, *step);
    std::vector<RankOutcome> expected = RunAll(plan, batch, {Kind::kLate, -1, 0, 0});
    all.push_back({std::move(plan), std::move(batch), std::move(expected)});
  }
  return all;
}

TEST(FaultsTest, AThousandRunsEndRightOrWithAnErrorOnEveryRank) {
  alarm(280);  // a run that hangs ends the test
  const std::vector<Prepared> all = Prepare();
  std::array<int, kKinds> struck = {};
  for (uint64_t seed = 0; seed < kRuns; ++seed) {
    std::mt19937_64 random(seed);
    const Prepared& prepared = all[random() % all.size()];
    Scenario scenario;
    scenario.kind = static_cast<Kind>(seed % kKinds);
    scenario.victim = random() % prepared.plan.num_ranks();
    scenario.strike = random() % 4;
    scenario.seed = seed;
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", kind ", seed % kKinds, ", rank ", scenario.victim,
                              ", strike ", scenario.strike));
    std::vector<RankOutcome> outcomes = RunAll(prepared.plan, prepared.batch, scenario);
    const bool hit = scenario.kind != Kind::kLate && outcomes[scenario.victim].struck;
    struck[seed % kKinds] += hit;
    // With a short timeout, a run that was not hit may still run out of time on a busy machine.
    for (size_t rank = 0; rank < outcomes.size(); ++rank) {
      if (hit || !outcomes[rank].status.ok()) {
        const bool short_of_time = scenario.kind == Kind::kDrop || scenario.kind == Kind::kVanish;
        EXPECT_TRUE(hit || short_of_time) << outcomes[rank].status;
        ExpectNamesThePlace(scenario, rank, outcomes[rank].status);
      } else {
        EXPECT_TRUE(outcomes[rank] == prepared.expected[rank]) << "rank " << rank;
      }
    }
    if (HasFailure()) break;
  }
  for (int kind = 1; kind < kKinds; ++kind) EXPECT_GE(struck[kind], kRuns / kKinds / 3) << kind;
  alarm(0);
}

}  // namespace
}  // namespace flashcp

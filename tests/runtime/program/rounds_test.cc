// Passes in rounds, one for each group of heads: they give the bits of a plan that is not cut,
// however rounds and stages share memory, and each wait that keeps them apart is needed.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/program/bound_program.h"
#include "runtime/program/host_runner.h"
#include "runtime/program/prepared_program.h"
#include "runtime/program/rank_buffers.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/runtime/program/step_name.h"
#include "tests/testing/forwarding_device.h"
#include "tests/testing/guarded_transport.h"
#include "tests/testing/run_on_streams.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::testing {
namespace {

using ::testing::HasSubstr;
using Kind = fbs::BufferKind;

// Documents that have rows in each of several stages.
ToyProblem Staged(int ranks, int ranks_per_node) {
  ToyProblem problem;
  problem.ranks = ranks;
  problem.ranks_per_node = ranks_per_node;
  problem.remote_stages = 5;
  for (uint32_t length : {23u, 17u, 9u, 40u, 7u}) {
    problem.documents.push_back({length, DealZigzag(length, 2 * ranks, ranks)});
  }
  return problem;
}

// The problem with heads for four groups, cut into some.
ToyProblem Cut(ToyProblem problem, int groups, int places, bool reuse) {
  problem.query_heads = 8;
  problem.key_value_heads = 4;
  problem.head_groups = groups;
  problem.places = places;
  problem.reuse = reuse;
  return problem;
}

std::string Describe(const ToyProblem& problem) {
  return absl::StrCat(problem.ranks, " ranks, ", problem.remote_stages, " stages, ",
                      problem.head_groups, " groups, ", problem.places, " places, ",
                      problem.reuse ? "reuse" : "no reuse");
}

TestBatch BatchOf(const Plan& plan) {
  return TestBatch(DocumentsOf(*plan), KernelSpecOf(plan), 17);
}

bool SameBits(const TestStep& a, const TestStep& b) {
  return a.result.output == b.result.output && a.result.lse == b.result.lse &&
         a.gradients.query == b.gradients.query && a.gradients.key == b.gradients.key &&
         a.gradients.value == b.gradients.value;
}

TEST(RoundsTest, GiveTheBitsOfAPlanThatIsNotCut) {
  std::vector<ToyProblem> problems = {SmallToyProblem(), RelayedToyProblem(), SavedToyProblem(),
                                      Staged(3, 1), Staged(4, 2)};
  problems[0].dtype = fbs::DType::f16;
  problems[2].dtype = fbs::DType::bf16;
  problems[4].documents[0].saved = true;
  for (const ToyProblem& problem : problems) {
    const Plan whole = MakeToyPlan(Cut(problem, 1, 1, false));
    const TestBatch batch = BatchOf(whole);
    const absl::StatusOr<TestStep> expected = RunPlanBackward(whole, batch);
    ASSERT_TRUE(expected.ok()) << expected.status();
    ExpectExactStep(batch, *expected);
    for (auto [groups, places] :
         {std::pair(1, 1), std::pair(2, 1), std::pair(4, 1), std::pair(4, 2), std::pair(4, 3)}) {
      for (bool reuse : {false, true}) {
        const ToyProblem cut = Cut(problem, groups, places, reuse);
        SCOPED_TRACE(Describe(cut));
        const Plan plan = MakeToyPlan(cut);
        const absl::StatusOr<TestStep> step = RunPlanBackward(plan, batch, /*steps=*/2);
        ASSERT_TRUE(step.ok()) << step.status();
        EXPECT_TRUE(SameBits(*step, *expected));
        for (uint64_t order : {0, 1}) {
          const absl::StatusOr<TestStep> on_streams = RunPlanOnStreams(plan, batch, order, 2);
          ASSERT_TRUE(on_streams.ok()) << on_streams.status();
          EXPECT_TRUE(SameBits(*on_streams, *expected)) << order;
        }
      }
    }
  }
}

// A step whose waits are left out.
struct Mutant {
  int rank;
  bool backward;
  uint32_t step;
};

// Runs one pass of a rank on the host, as the executor does, but without the waits of one step.
absl::Status RunPass(const Plan& plan, bool backward, int mutated_step, RankTensors* tensors,
                     Transport* transport) {
  const int rank = transport->rank();
  const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
  std::vector<char> workspace(
      64 + std::max(rank_plan.workspace_bytes(), rank_plan.backward_workspace_bytes()), '\xff');
  const std::unique_ptr<Device> device = CreateCpuDevice();
  ASSIGN_OR_RETURN(std::shared_ptr<AttentionKernels> kernels,
                   device->FindKernels(GroupSpecOf(plan)));
  BoundProgram bound = backward ? BindBackward(plan, rank) : BindForward(plan, rank);
  if (mutated_step >= 0) bound.waits[mutated_step].clear();
  ASSIGN_OR_RETURN(std::unique_ptr<PreparedProgram> program,
                   PreparedProgram::Create("pass", std::move(bound), kernels.get(), transport));
  MemoryBases memory;
  const BackwardTensors all = tensors->backward();
  memory.Set(Kind::query, all.query.data());
  memory.Set(Kind::key, all.key.data());
  memory.Set(Kind::value, all.value.data());
  memory.Set(Kind::output, all.output.data());
  memory.Set(Kind::lse, all.lse.data());
  memory.Set(Kind::output_gradient, all.output_gradient.data());
  memory.Set(Kind::query_gradient, all.query_gradient.data());
  memory.Set(Kind::key_gradient, all.key_gradient.data());
  memory.Set(Kind::value_gradient, all.value_gradient.data());
  memory.saved = tensors->saved.data();
  memory.workspace = workspace.data() + (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64);
  const RankBuffers buffers(plan, rank);
  std::vector<char*> bases(buffers.num_bases());
  buffers.Resolve(memory, absl::MakeSpan(bases));
  const absl::Status status =
      HostRunner(program.get(), absl::Seconds(60), nullptr).Run(bases, nullptr);
  if (!status.ok()) transport->Abort(status);  // others no longer use the workspace
  return status;
}

// Whether a step without some waits gives other bits, or messages into memory of others.
bool IsCaught(const Plan& plan, const TestBatch& batch, const TestStep& expected,
              const Mutant& mutant) {
  GlobalResults results(plan, batch);
  const absl::Status status = RunThreads(plan.num_ranks(), [&](Transport* inner) -> absl::Status {
    GuardedTransport transport(inner);
    RankTensors tensors(plan, inner->rank(), batch);
    for (bool backward : {false, true}) {
      const bool mutated = inner->rank() == mutant.rank && backward == mutant.backward;
      RETURN_IF_ERROR(RunPass(plan, backward, mutated ? static_cast<int>(mutant.step) : -1,
                              &tensors, &transport));
    }
    results.Gather(inner->rank(), tensors);
    return absl::OkStatus();
  });
  return !status.ok() || !SameBits(results.Step(), expected);
}

// By step: the steps that are done before it starts, as waits and streams say it.
std::vector<std::vector<bool>> DoneBefore(const BoundProgram& program) {
  std::vector<std::vector<bool>> done(program.num_steps());
  int last[2] = {-1, -1};
  for (uint32_t step = 0; step < program.num_steps(); ++step) {
    done[step].resize(program.num_steps());
    auto know = [&](uint32_t earlier, bool is_done) {
      for (uint32_t i = 0; i < earlier; ++i) done[step][i] = done[step][i] || done[earlier][i];
      done[step][earlier] = done[step][earlier] || is_done;
    };
    const bool exchange = IsExchange(program.InstructionOf(step));
    if (last[exchange] >= 0) know(last[exchange], !exchange);
    for (uint32_t wait : program.waits[step]) know(wait, true);
    last[exchange] = static_cast<int>(step);
  }
  return done;
}

// Whether others imply the waits of a step.
bool IsImplied(BoundProgram program, uint32_t step) {
  const std::vector<std::vector<bool>> done = DoneBefore(program);
  program.waits[step].clear();
  return DoneBefore(program) == done;
}

// The waits of a step of messages are left out on one rank after the other: on one of them at least
// it shows. A rank that receives nothing in it does not need them. On the host a relay of several
// stages starts little early, since it finds out late what is done; streams_test has those.
TEST(RoundsTest, MessagesThatDoNotWaitForTheirMemoryAreCaught) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "without their waits, threads copy what others write";
#endif
  for (const ToyProblem& problem :
       {Cut(SmallToyProblem(), 4, 1, false), Cut(SmallToyProblem(), 4, 2, false),
        Cut(RelayedToyProblem(), 2, 1, false), Cut(Staged(3, 1), 2, 1, true)}) {
    SCOPED_TRACE(Describe(problem));
    const Plan plan = MakeToyPlan(problem);
    const TestBatch batch = BatchOf(plan);
    const absl::StatusOr<TestStep> expected = RunPlanBackward(plan, batch);
    ASSERT_TRUE(expected.ok()) << expected.status();
    EXPECT_FALSE(IsCaught(plan, batch, *expected, {-1, false, 0}));
    std::map<std::string, bool> caught;
    for (int rank = 0; rank < plan.num_ranks(); ++rank) {
      for (bool backward : {false, true}) {
        const BoundProgram program = backward ? BindBackward(plan, rank) : BindForward(plan, rank);
        for (uint32_t step = 0; step < program.num_steps(); ++step) {
          if (!IsExchange(program.InstructionOf(step)) || IsImplied(program, step)) continue;
          bool& is_caught = caught[NameOfStep(program, step)];
          is_caught = is_caught || IsCaught(plan, batch, *expected, {rank, backward, step});
        }
      }
    }
    EXPECT_GT(caught.size(), 4);
    for (const auto& [name, is_caught] : caught) EXPECT_TRUE(is_caught) << name;
  }
}

TEST(RoundsTest, BuffersMoveWithTheGroupOrTakeTurns) {
  const Plan plan = MakeToyPlan(Cut(SmallToyProblem(), 4, 3, false));
  const RankBuffers buffers(plan, 0);
  char tensor[1], saved[1], workspace[1];
  MemoryBases memory;
  memory.tensors.fill(tensor);
  memory.saved = saved;
  memory.workspace = workspace;
  std::vector<char*> bases(buffers.num_bases());
  buffers.Resolve(memory, absl::MakeSpan(bases));
  auto offset = [&](int round, Kind kind, const char* base) {
    return bases[round * (buffers.size() + 1) + buffers.Find(kind)] - base;
  };
  const int64_t place = (6 * 8 * sizeof(float) + 63) / 64 * 64;  // 6 rows of 8 floats
  const int64_t first = buffers[buffers.Find(Kind::remote_key)].offset();
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(offset(round, Kind::query, tensor), round * 2 * 8 * 4);  // 2 heads of 8 floats
    EXPECT_EQ(offset(round, Kind::key, tensor), round * 8 * 4);
    EXPECT_EQ(offset(round, Kind::lse, tensor), round * 2 * 4);
    EXPECT_EQ(offset(round, Kind::remote_key, workspace), first + round % 3 * place);
    EXPECT_EQ(offset(round, Kind::query_sum, workspace), offset(0, Kind::query_sum, workspace));
  }
}

// The transport of a rank that notes the tags of its exchanges.
class NotingTransport : public GuardedTransport {
 public:
  using GuardedTransport::GuardedTransport;
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override {
    for (const Message& message : messages)
      tags[{message.direction, message.peer}].push_back(message.tag);
    return GuardedTransport::Prepare(std::move(messages));
  }
  std::map<std::pair<Message::Direction, int>, std::vector<uint32_t>> tags;
};

TEST(RoundsTest, TagsCountTheMessagesOfAllRounds) {
  const Plan plan = MakeToyPlan(Cut(Staged(4, 2), 4, 1, true));
  const absl::Status status = RunThreads(4, [&](Transport* inner) -> absl::Status {
    const std::unique_ptr<Device> device = CreateCpuDevice();
    NotingTransport transport(inner);
    ExecutorOptions options;
    options.backward = false;
    RETURN_IF_ERROR(
        Executor::Create(plan, inner->rank(), &transport, device.get(), options).status());
    EXPECT_FALSE(transport.tags.empty());
    for (const auto& [pair, tags] : transport.tags) {
      for (uint32_t k = 0; k < tags.size(); ++k) EXPECT_EQ(tags[k], k);
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// The CPU, but the n-th launch of attend fails.
class FailingDevice : public ForwardingDevice {
 public:
  explicit FailingDevice(int launches) : launches_(launches) {}

 private:
  absl::Status BeforeLaunch(const Launch& launch) override {
    if (!IsAttend(launch) || launches_-- != 0) return absl::OkStatus();
    return absl::InternalError("the device is on fire");
  }

  int launches_;
};

TEST(RoundsTest, ErrorsNameTheHeadGroup) {
  const Plan plan = MakeToyPlan(Cut(SmallToyProblem(), 4, 1, false));
  const TestBatch batch = BatchOf(plan);
  const absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    FailingDevice device(transport->rank() == 1 ? 5 : 1000);
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, transport->rank(), transport, &device));
    RankTensors tensors(plan, transport->rank(), batch);
    return executor->Forward(tensors.forward());
  });
  EXPECT_EQ(status,
            absl::InternalError("rank 1, forward, head group 2, stage 1, instruction 2 (attend): "
                                "the device is on fire"));
}

}  // namespace
}  // namespace flashcp::testing

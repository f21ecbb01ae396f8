// A step allocates nothing, neither on the heap nor of the device, from its second run on: the
// first makes what transports keep.

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "runtime/cpu/forward_units.h"
#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/testing/forwarding_device.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace {
thread_local int64_t num_allocations = 0;
}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++num_allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(size_t size) {
  void* memory = operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace flashcp::testing {
namespace {

// The CPU, but what is allocated of it counts, which is no heap memory.
class CountingDevice : public ForwardingDevice {
 public:
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override {
    ++num_allocations;
    return ForwardingDevice::Allocate(bytes);
  }
};

void ExpectNoAllocations(const Plan& plan) {
  const TestBatch batch(DocumentsOf(*plan), KernelSpecOf(plan), /*seed=*/0);
  absl::Status status = RunThreads(plan.num_ranks(), [&](Transport* transport) -> absl::Status {
    CountingDevice device;
    RankTrace trace;
    ExecutorOptions options;
    options.trace = &trace;
    int64_t before = num_allocations;
    ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                     Executor::Create(plan, transport->rank(), transport, &device, options));
    EXPECT_GT(num_allocations, before);  // they are counted
    std::vector<std::unique_ptr<RankTensors>> tensors;
    for (int i = 0; i < 2; ++i) {
      tensors.push_back(std::make_unique<RankTensors>(plan, transport->rank(), batch));
    }
    for (int step = 0; step < 10; ++step) {
      RankTensors& now = *tensors[step % 2];  // other addresses each time
      before = num_allocations;
      RETURN_IF_ERROR(executor->Forward(now.forward()));
      RETURN_IF_ERROR(executor->Backward(now.backward()));
      if (step > 1) {
        EXPECT_EQ(num_allocations, before) << "step " << step;
      }
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(AllocationTest, AStepAllocatesNothing) { ExpectNoAllocations(MakeToyPlan(SmallToyProblem())); }

TEST(AllocationTest, NorWithRelays) { ExpectNoAllocations(MakeToyPlan(RelayedToyProblem())); }

TEST(AllocationTest, NorInRounds) {
  ToyProblem problem = RelayedToyProblem();
  problem.head_groups = 2;
  ExpectNoAllocations(MakeToyPlan(problem));
}

TEST(AllocationTest, NorWithManyStages) {
  ToyProblem problem;
  problem.documents = {{60, DealZigzag(60, 8, 4)}, {33, DealZigzag(33, 8, 4)}};
  problem.ranks = 4;
  problem.remote_stages = 3;
  ExpectNoAllocations(MakeToyPlan(problem));
}

// The largest table comes last: a pass need not have run for a launch to allocate nothing.
TEST(AllocationTest, NorDoCutsOfReservedTables) {
  const KernelSpec spec = {model::DType::kF32, 6, 2, 8, 8, 1.0f};
  std::vector<float> lse(5000 * spec.query_heads);
  std::vector<AttentionTile> tiles(5);
  for (int64_t i = 0; i < 5; ++i) {
    tiles[i].lse = &lse[i * 1000 * spec.query_heads];
    tiles[i].query_count = tiles[i].key_count = 1000;
    tiles[i].query_row_heads = tiles[i].head_end = spec.query_heads;
  }
  ForwardUnits units(spec);
  units.Reserve(tiles);
  const int64_t before = num_allocations;
  EXPECT_GE(units.Cut(absl::MakeConstSpan(tiles).first(2)).size(), 4);
  EXPECT_GE(units.Cut(tiles).size(), 10);
  EXPECT_EQ(num_allocations, before);
}

}  // namespace
}  // namespace flashcp::testing

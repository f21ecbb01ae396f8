// Runs plans on a fake machine with streams (fake_machine.h): all is enqueued before anything is
// done.

#ifndef FLASHCP_TESTS_TESTING_RUN_ON_STREAMS_H_
#define FLASHCP_TESTS_TESTING_RUN_ON_STREAMS_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/executor.h"
#include "tests/testing/fake_machine.h"
#include "tests/testing/run_plan.h"

namespace flashcp::testing {

// One rank with its tensors on the machine.
class RankOnStreams {
 public:
  // `with_caller`: passes are part of a stream of the caller, on which inputs arrive and results
  // leave; otherwise the inputs are there from the start.
  static absl::StatusOr<std::unique_ptr<RankOnStreams>> Create(FakeMachine* machine,
                                                               const Plan& plan, int rank,
                                                               const TestBatch& batch,
                                                               bool with_caller = true);

  // Enqueues both passes, on the tensors of the step before.
  absl::Status EnqueueStep();

  Executor* executor() { return executor_.get(); }
  Transport* transport() { return transport_.get(); }
  const RankTensors& results() const { return results_; }

 private:
  RankOnStreams(const Plan& plan, int rank, const TestBatch& batch)
      : inputs_(plan, rank, batch), tensors_(plan, rank, batch), results_(plan, rank, batch) {}
  void EnqueueInputs();
  void EnqueueOutputGradient();
  void EnqueueResults();

  const RankTensors inputs_;
  RankTensors tensors_;  // of the device
  RankTensors results_;  // of the last step that is done
  std::unique_ptr<Device> device_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Stream> caller_;  // may be null
  std::unique_ptr<Executor> executor_;
};

// Runs `run` for each rank, each on a thread of its own.
void OnAllRanks(int num_ranks, const std::function<void(int rank)>& run);

// Runs the plan, both passes, `steps` times; the machine begins when all steps of all ranks are
// enqueued. Expects no race. Messages are packed where the seed is even.
absl::StatusOr<TestStep> RunPlanOnStreams(const Plan& plan, const TestBatch& batch, uint64_t seed,
                                          int steps = 1);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_RUN_ON_STREAMS_H_

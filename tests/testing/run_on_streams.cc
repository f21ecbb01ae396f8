// Inputs are written, and results read and then spoiled, by work of the caller's stream: a pass
// that does not keep to this stream computes on NaNs or gives them.

#include "tests/testing/run_on_streams.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "support/status_macros.h"

namespace flashcp::testing {
namespace {

using Access = RaceCheck::Access;

template <typename T>
void Spoil(std::vector<T>* data) {
  if (!data->empty()) std::memset(data->data(), 0xff, data->size() * sizeof(T));
}

template <typename T>
Access AccessOf(const std::vector<T>& data, bool write) {
  return {reinterpret_cast<const char*>(data.data()), data.size() * sizeof(T), write};
}

}  // namespace

absl::StatusOr<std::unique_ptr<RankOnStreams>> RankOnStreams::Create(FakeMachine* machine,
                                                                     const Plan& plan, int rank,
                                                                     const TestBatch& batch,
                                                                     bool with_caller) {
  auto self = std::unique_ptr<RankOnStreams>(new RankOnStreams(plan, rank, batch));
  self->device_ = machine->MakeDevice(rank);
  self->transport_ = machine->MakeTransport(rank);
  ASSIGN_OR_RETURN(self->executor_,
                   Executor::Create(plan, rank, self->transport_.get(), self->device_.get()));
  if (!with_caller) return self;
  ASSIGN_OR_RETURN(self->caller_, self->device_->NewStream(StreamPriority::kNormal));
  for (auto* tensor : {&self->tensors_.query, &self->tensors_.key, &self->tensors_.value,
                       &self->tensors_.output_gradient}) {
    Spoil(tensor);
  }
  return self;
}

absl::Status RankOnStreams::EnqueueStep() {
  if (caller_ != nullptr) EnqueueInputs();
  RETURN_IF_ERROR(executor_->Forward(tensors_.forward(), caller_.get()));
  if (caller_ != nullptr) EnqueueOutputGradient();
  RETURN_IF_ERROR(executor_->Backward(tensors_.backward(), caller_.get()));
  if (caller_ != nullptr) EnqueueResults();
  return absl::OkStatus();
}

void RankOnStreams::EnqueueInputs() {
  CallOn(caller_.get(), "inputs",
         {AccessOf(tensors_.query, true), AccessOf(tensors_.key, true),
          AccessOf(tensors_.value, true)},
         [this] {
           std::copy(inputs_.query.begin(), inputs_.query.end(), tensors_.query.begin());
           std::copy(inputs_.key.begin(), inputs_.key.end(), tensors_.key.begin());
           std::copy(inputs_.value.begin(), inputs_.value.end(), tensors_.value.begin());
         });
}

void RankOnStreams::EnqueueOutputGradient() {
  CallOn(caller_.get(), "output gradient",
         {AccessOf(tensors_.output, false), AccessOf(tensors_.output_gradient, true)}, [this] {
           std::copy(inputs_.output_gradient.begin(), inputs_.output_gradient.end(),
                     tensors_.output_gradient.begin());
         });
}

void RankOnStreams::EnqueueResults() {
  std::vector<Access> accesses = {AccessOf(tensors_.query, true),
                                  AccessOf(tensors_.key, true),
                                  AccessOf(tensors_.value, true),
                                  AccessOf(tensors_.output, true),
                                  AccessOf(tensors_.lse, true),
                                  AccessOf(tensors_.saved, true),
                                  AccessOf(tensors_.output_gradient, true),
                                  AccessOf(tensors_.query_gradient, true),
                                  AccessOf(tensors_.key_gradient, true),
                                  AccessOf(tensors_.value_gradient, true)};
  CallOn(caller_.get(), "results", accesses, [this] {
    results_ = tensors_;
    for (auto* tensor : {&tensors_.query, &tensors_.key, &tensors_.value, &tensors_.output,
                         &tensors_.saved, &tensors_.output_gradient, &tensors_.query_gradient,
                         &tensors_.key_gradient, &tensors_.value_gradient}) {
      Spoil(tensor);
    }
    Spoil(&tensors_.lse);
  });
}

void OnAllRanks(int num_ranks, const std::function<void(int rank)>& run) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) threads.emplace_back([&run, rank] { run(rank); });
  for (std::thread& thread : threads) thread.join();
}

absl::StatusOr<TestStep> RunPlanOnStreams(const Plan& plan, const TestBatch& batch, uint64_t seed,
                                          int steps) {
  const int ranks = plan.num_ranks();
  FakeMachine::Options options;
  options.seed = seed;
  options.gathers = seed % 2 == 1;
  options.held = true;
  FakeMachine machine(ranks, options);
  std::vector<std::unique_ptr<RankOnStreams>> running(ranks);
  std::vector<absl::Status> errors(ranks);
  OnAllRanks(ranks, [&](int rank) {
    errors[rank] = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(running[rank], RankOnStreams::Create(&machine, plan, rank, batch));
      for (int step = 0; step < steps; ++step) RETURN_IF_ERROR(running[rank]->EnqueueStep());
      return absl::OkStatus();
    }();
  });
  for (const absl::Status& error : errors) RETURN_IF_ERROR(error);
  machine.Release();
  for (const auto& rank : running) RETURN_IF_ERROR(rank->executor()->Synchronize());
  machine.AwaitIdle();  // the last results have left
  GlobalResults global(plan, batch);
  for (int rank = 0; rank < ranks; ++rank) {
    EXPECT_TRUE(machine.races(rank).empty()) << "rank " << rank << ", " << machine.races(rank)[0];
    global.Gather(rank, running[rank]->results());
  }
  return global.Step();
}

}  // namespace flashcp::testing

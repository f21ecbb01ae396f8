// Executors in C: one rank of a plan, with the transport and the device that the group has for it.

#include "runtime/executor.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/flashcp.h"
#include "api/group.h"
#include "api/plan.h"
#include "api/status.h"
#include "support/status_macros.h"

struct flashcp_executor {
  std::shared_ptr<flashcp::capi::Group> group;  // outlives the executor
  flashcp::capi::Group::Member* member;         // of the group
  std::unique_ptr<flashcp::Executor> executor;
  int rank;
};

namespace flashcp::capi {
namespace {

absl::Status MakeExecutor(const Plan& plan, std::shared_ptr<Group> group, int rank, bool backward,
                          flashcp_executor** executor) {
  ASSIGN_OR_RETURN(Group::Member * member, group->Join(rank));
  const RankCall call(member, rank);
  RETURN_IF_ERROR(call.status());
  ExecutorOptions options;
  options.timeout = group->timeout();
  options.backward = backward;
  options.verify = false;  // each handle of a plan has passed
  ASSIGN_OR_RETURN(
      std::unique_ptr<Executor> made,
      Executor::Create(plan, rank, member->transport.get(), member->device.get(), options));
  *executor = new flashcp_executor{std::move(group), member, std::move(made), rank};
  return absl::OkStatus();
}

MutableBytes BytesOf(const flashcp_tensor& tensor) { return {tensor.data, tensor.bytes}; }

ForwardTensors ForwardOf(const flashcp_tensors& t) {
  return {BytesOf(t.query),  BytesOf(t.key), BytesOf(t.value),
          BytesOf(t.output), BytesOf(t.lse), BytesOf(t.saved)};
}

BackwardTensors BackwardOf(const flashcp_tensors& t) {
  return {BytesOf(t.query),
          BytesOf(t.key),
          BytesOf(t.value),
          BytesOf(t.output),
          BytesOf(t.lse),
          BytesOf(t.saved),
          BytesOf(t.output_gradient),
          BytesOf(t.query_gradient),
          BytesOf(t.key_gradient),
          BytesOf(t.value_gradient)};
}

// The CPU is the only device, and has no streams.
absl::Status CheckStream(const flashcp_executor& executor, const void* stream) {
  if (stream == nullptr) return absl::OkStatus();
  absl::Status status = absl::InvalidArgumentError(
      absl::StrCat("rank ", executor.rank, ": a stream was given; the CPU has none, pass null"));
  executor.group->Abort(executor.rank, status).IgnoreError();
  return status;
}

}  // namespace
}  // namespace flashcp::capi

using flashcp::capi::Guarded;

extern "C" {

flashcp_status flashcp_executor_create(const flashcp_plan* plan, flashcp_group* group, int rank,
                                       int backward, flashcp_executor** executor) {
  flashcp::capi::Clear(executor);
  return Guarded(__func__, {{"plan", plan}, {"group", group}, {"executor", executor}}, [&] {
    return flashcp::capi::MakeExecutor(plan->plan, group->group, rank, backward != 0, executor);
  });
}

void flashcp_executor_destroy(flashcp_executor* executor) { delete executor; }

flashcp_status flashcp_forward(flashcp_executor* executor, const flashcp_tensors* tensors,
                               void* stream) {
  return Guarded(__func__, {{"executor", executor}, {"tensors", tensors}}, [&]() -> absl::Status {
    const flashcp::capi::RankCall call(executor->member, executor->rank);
    RETURN_IF_ERROR(call.status());
    RETURN_IF_ERROR(flashcp::capi::CheckStream(*executor, stream));
    return executor->executor->Forward(flashcp::capi::ForwardOf(*tensors));
  });
}

flashcp_status flashcp_backward(flashcp_executor* executor, const flashcp_tensors* tensors,
                                void* stream) {
  return Guarded(__func__, {{"executor", executor}, {"tensors", tensors}}, [&]() -> absl::Status {
    const flashcp::capi::RankCall call(executor->member, executor->rank);
    RETURN_IF_ERROR(call.status());
    RETURN_IF_ERROR(flashcp::capi::CheckStream(*executor, stream));
    return executor->executor->Backward(flashcp::capi::BackwardOf(*tensors));
  });
}

flashcp_status flashcp_synchronize(flashcp_executor* executor, double timeout_s) {
  return Guarded(__func__, {{"executor", executor}}, [&] {
    return executor->executor->Synchronize(timeout_s >= 0 ? absl::Seconds(timeout_s)
                                                          : absl::InfiniteDuration());
  });
}

}  // extern "C"

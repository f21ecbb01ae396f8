// The executor decides what must hold before a pass runs: the ranks agree on a plan that is
// correct, memory and kernels are there, tensors are given. What runs then is a PassRunner's.

#include "runtime/executor.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/verify.h"
#include "runtime/program/bound_program.h"
#include "runtime/program/host_runner.h"
#include "runtime/program/prepared_program.h"
#include "runtime/program/rank_buffers.h"
#include "runtime/program/stream_runner.h"
#include "runtime/program/watchdog.h"
#include "support/catch_exceptions.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

absl::Status CheckRanks(const Plan& plan, int rank, const Transport& transport) {
  if (transport.size() != plan.num_ranks()) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank, ": the plan is for ",
                                                   plan.num_ranks(), " ranks, the transport joins ",
                                                   transport.size()));
  }
  if (rank != transport.rank() || rank < 0 || rank >= plan.num_ranks()) {
    return absl::InvalidArgumentError(
        absl::StrCat("an executor for rank ", rank, " of ", plan.num_ranks(),
                     " was given the transport of rank ", transport.rank()));
  }
  return absl::OkStatus();
}

// The time of a call in which this rank computes whenever it does not wait.
class ComputingScope {
 public:
  explicit ComputingScope(Transport* transport) : transport_(*transport) {
    transport_.SetComputing(true);
  }
  ~ComputingScope() { transport_.SetComputing(false); }

 private:
  Transport& transport_;
};

// Fails on every rank alike if not all of them hold the same plan.
absl::Status AgreeOnPlan(const Plan& plan, Transport* transport, absl::Duration timeout) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> hashes, transport->AllGather(plan.hash(), timeout));
  for (int rank = 1; rank < transport->size(); ++rank) {
    if (hashes[rank] == hashes[0]) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "plans differ: rank 0 has plan %016x, rank %d has plan %016x; compile all from the same "
        "documents and options, with the same version",
        hashes[0], rank, hashes[rank]));
  }
  return absl::OkStatus();
}

using Kind = fbs::BufferKind;

// The caller's tensors of one pass.
using Tensors = absl::Span<const std::pair<Kind, ConstBytes>>;

// Returns "[13 tokens, 4 heads, dim 8] of bf16", or without dim for LSE.
std::string ShapeText(const fbs::Buffer& tensor) {
  const std::string dim = tensor.kind() == Kind::lse ? "" : absl::StrCat(", dim ", tensor.dim());
  return absl::StrCat("[", tensor.rows(), " tokens, ", tensor.heads(), " heads", dim, "] of ",
                      fbs::EnumNameDType(tensor.dtype()));
}

absl::Status CheckTensors(int rank, const RankBuffers& buffers, Tensors tensors) {
  for (const auto& [kind, bytes] : tensors) {
    const uint32_t buffer = buffers.Find(kind);
    const fbs::Buffer& tensor = buffers[buffer];
    const uint64_t expected = buffers.RowBytes(buffer) * tensor.rows();
    if (bytes.size() == expected && (bytes.data() != nullptr || expected == 0)) continue;
    if (bytes.data() == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("rank ", rank, ": tensor ", fbs::EnumNameBufferKind(kind), " is null"));
    }
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank, ": tensor ", fbs::EnumNameBufferKind(kind), " has ",
                     bytes.size(), " bytes, ", expected, " expected, ", ShapeText(tensor)));
  }
  return absl::OkStatus();
}

absl::Status CheckSaved(int rank, uint64_t expected, ConstBytes saved) {
  const bool is_null = saved.data() == nullptr;
  if (saved.size() == expected && (!is_null || expected == 0)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("rank ", rank, ": ", expected, " bytes of saved memory expected, ",
                   is_null ? "null" : absl::StrCat(saved.size()), " found"));
}

// Adds to a lack of memory or threads whose it is.
absl::Status OfRank(int rank, const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  return absl::Status(status.code(), absl::StrCat("rank ", rank, ": ", status.message()));
}

// Streams on both sides, or on none.
absl::Status CheckDrivers(const Transport& transport, const Device& device,
                          const ExecutorOptions& options) {
  if (device.has_streams() != transport.has_streams()) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", transport.rank(), ": the device works ",
                     device.has_streams() ? "on streams, the transport does not"
                                          : "without streams, the transport on streams"));
  }
  if (device.has_streams() && options.trace != nullptr) {
    return absl::InvalidArgumentError("a trace is recorded on devices without streams only");
  }
  return absl::OkStatus();
}

class PlanExecutor : public Executor {
 public:
  PlanExecutor(const Plan& plan, Transport* transport, Device* device,
               const ExecutorOptions& options)
      : keep_(plan),
        plan_(*plan->ranks()->Get(transport->rank())),
        transport_(*transport),
        device_(*device),
        options_(options),
        buffers_(keep_, transport->rank()),
        bases_(buffers_.num_bases()) {}

  // Waits until the device no longer uses what goes with the executor.
  ~PlanExecutor() override {
    if (watchdog_ != nullptr) watchdog_->Await(options_.timeout).IgnoreError();
  }

  // All set-up that is the device's and the transport's.
  absl::Status Prepare(const Plan& plan) {
    const int rank = transport_.rank();
    absl::StatusOr<std::shared_ptr<AttentionKernels>> kernels =
        device_.FindKernels(GroupSpecOf(plan));
    RETURN_IF_ERROR(OfRank(rank, kernels.status()));
    kernels_ = *std::move(kernels);
    const uint64_t backward_bytes = options_.backward ? plan_.backward_workspace_bytes() : 0;
    RETURN_IF_ERROR(Allocate(std::max(plan_.workspace_bytes(), backward_bytes), &workspace_));
    if (device_.has_streams()) {
      ASSIGN_OR_RETURN(streams_, ExecutorStreams::Create(&device_));
      watchdog_ = std::make_unique<Watchdog>(&transport_, options_.timeout);
    }
    BoundProgram forward = BindForward(plan, rank);
    BoundProgram backward;
    if (options_.backward) backward = BindBackward(plan, rank);
    if (!transport_.gathers()) {
      RETURN_IF_ERROR(
          Allocate(std::max(PackMessages(buffers_, &forward), PackMessages(buffers_, &backward)),
                   &staging_));
    }
    RankTrace* const trace = options_.trace;
    RETURN_IF_ERROR(forward_.Prepare("forward", std::move(forward), this,
                                     trace != nullptr ? &trace->forward : nullptr));
    if (!options_.backward) return absl::OkStatus();
    return backward_.Prepare("backward", std::move(backward), this,
                             trace != nullptr ? &trace->backward : nullptr);
  }

  absl::Status Forward(const ForwardTensors& tensors, Stream* stream) override {
    return EndAllUnlessOk(RunForward(tensors, stream));
  }
  absl::Status Backward(const BackwardTensors& tensors, Stream* stream) override {
    return EndAllUnlessOk(RunBackward(tensors, stream));
  }
  absl::Status Synchronize(absl::Duration timeout) override {
    return watchdog_ == nullptr ? absl::OkStatus() : watchdog_->Await(timeout);
  }

 private:
  // One of the passes.
  struct Pass {
    absl::Status Prepare(const char* name, BoundProgram bound, PlanExecutor* executor,
                         std::vector<TraceSpan>* trace) {
      absl::StatusOr<std::unique_ptr<PreparedProgram>> prepared = PreparedProgram::Create(
          name, std::move(bound), executor->kernels_.get(), &executor->transport_);
      RETURN_IF_ERROR(OfRank(executor->transport_.rank(), prepared.status()));
      program = *std::move(prepared);
      if (executor->streams_ == nullptr) {
        runner = std::make_unique<HostRunner>(program.get(), executor->options_.timeout, trace);
      } else {
        runner = std::make_unique<StreamRunner>(
            program.get(), &executor->device_, executor->streams_.get(), executor->watchdog_.get());
      }
      return absl::OkStatus();
    }

    std::unique_ptr<PreparedProgram> program;
    std::unique_ptr<PassRunner> runner;
  };

  absl::Status RunForward(const ForwardTensors& tensors, Stream* stream) {
    return Run({{Kind::query, tensors.query},
                {Kind::key, tensors.key},
                {Kind::value, tensors.value},
                {Kind::output, tensors.output},
                {Kind::lse, tensors.lse}},
               tensors.saved, forward_, stream);
  }

  absl::Status RunBackward(const BackwardTensors& tensors, Stream* stream) {
    if (backward_.runner == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("rank ", transport_.rank(),
                       ": the executor was made without backward (ExecutorOptions::backward)"));
    }
    return Run({{Kind::query, tensors.query},
                {Kind::key, tensors.key},
                {Kind::value, tensors.value},
                {Kind::output, tensors.output},
                {Kind::lse, tensors.lse},
                {Kind::output_gradient, tensors.output_gradient},
                {Kind::query_gradient, tensors.query_gradient},
                {Kind::key_gradient, tensors.key_gradient},
                {Kind::value_gradient, tensors.value_gradient}},
               tensors.saved, backward_, stream);
  }

  // Runs a pass, if the caller has given all of its memory.
  absl::Status Run(Tensors tensors, ConstBytes saved, const Pass& pass, Stream* stream) {
    const ComputingScope scope(&transport_);
    RETURN_IF_ERROR(CheckTensors(transport_.rank(), buffers_, tensors));
    RETURN_IF_ERROR(CheckSaved(transport_.rank(), plan_.saved_bytes(), saved));
    MemoryBases memory;
    for (const auto& [kind, bytes] : tensors) memory.Set(kind, bytes.data());
    memory.saved = static_cast<char*>(const_cast<void*>(saved.data()));
    memory.workspace = workspace_.get();
    memory.staging = staging_.get();
    buffers_.Resolve(memory, absl::MakeSpan(bases_));
    return pass.runner->Run(bases_, stream);
  }

  absl::Status Allocate(uint64_t bytes, DeviceMemory* memory) {
    absl::StatusOr<DeviceMemory> allocated = device_.Allocate(bytes);
    RETURN_IF_ERROR(OfRank(transport_.rank(), allocated.status()));
    *memory = *std::move(allocated);
    return absl::OkStatus();
  }

  absl::Status EndAllUnlessOk(const absl::Status& status) {
    if (!status.ok()) transport_.Abort(status);
    return status;
  }

  const Plan keep_;
  const fbs::RankPlan& plan_;
  Transport& transport_;
  Device& device_;
  const ExecutorOptions options_;
  const RankBuffers buffers_;
  std::vector<char*> bases_;  // by round and buffer, of the present call
  DeviceMemory workspace_ = {nullptr, nullptr};
  DeviceMemory staging_ = {nullptr, nullptr};
  std::shared_ptr<AttentionKernels> kernels_;
  std::unique_ptr<ExecutorStreams>
      streams_;  // null on a device without streams, as the watchdog is
  Pass forward_, backward_;
  std::unique_ptr<Watchdog> watchdog_;  // the first to go
};

absl::StatusOr<std::unique_ptr<Executor>> CreateExecutor(const Plan& plan, int rank,
                                                         Transport* transport, Device* device,
                                                         const ExecutorOptions& options) {
  RETURN_IF_ERROR(CheckRanks(plan, rank, *transport));
  RETURN_IF_ERROR(CheckDrivers(*transport, *device, options));
  RETURN_IF_ERROR(AgreeOnPlan(plan, transport, options.timeout));
  if (options.verify) RETURN_IF_ERROR(VerifyPlan(plan));
  auto executor = std::make_unique<PlanExecutor>(plan, transport, device, options);
  RETURN_IF_ERROR(executor->Prepare(plan));
  return executor;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(const Plan& plan, int rank,
                                                           Transport* transport, Device* device,
                                                           const ExecutorOptions& options) {
  const ComputingScope scope(transport);
  absl::StatusOr<std::unique_ptr<Executor>> executor =
      CatchExceptions(absl::StrCat("creating the executor of rank ", rank),
                      [&] { return CreateExecutor(plan, rank, transport, device, options); });
  if (!executor.ok()) transport->Abort(executor.status());
  return executor;
}

}  // namespace flashcp

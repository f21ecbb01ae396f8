// The executor decides what must hold before a pass runs: the ranks agree on a plan that is
// correct, memory and kernels are there, tensors are given. What runs then is ProgramRunner's.

#include "runtime/executor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/optional.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/verify.h"
#include "runtime/program/bound_backward.h"
#include "runtime/program/bound_forward.h"
#include "runtime/program/run_program.h"
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

// Fails on every rank alike where not all of them hold the same plan.
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
using Tensors = absl::Span<const std::pair<Kind, const void*>>;

absl::Status CheckTensors(int rank, bool has_rows, Tensors tensors) {
  for (const auto& [kind, data] : tensors) {
    if (data != nullptr || !has_rows) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank, ": tensor ", fbs::EnumNameBufferKind(kind), " is null"));
  }
  return absl::OkStatus();
}

absl::Status CheckSaved(int rank, uint64_t bytes, const void* saved) {
  if (saved != nullptr || bytes == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("rank ", rank, ": ", bytes, " bytes of saved memory expected, null found"));
}

class PlanExecutor : public Executor {
 public:
  PlanExecutor(const Plan& plan, Transport* transport, Device* device,
               std::shared_ptr<AttentionKernels> kernels, DeviceMemory workspace,
               const ExecutorOptions& options)
      : plan_(*plan->ranks()->Get(transport->rank())),
        transport_(transport),
        has_rows_(!Items(plan_.layout()).empty()),
        workspace_(std::move(workspace)),
        kernels_(std::move(kernels)),
        forward_(plan, transport->rank(), kernels_.get()),
        run_forward_("forward", &forward_, transport, device, options.timeout,
                     options.trace != nullptr ? &options.trace->forward : nullptr) {
    if (!options.backward) return;
    backward_.emplace(plan, transport->rank(), kernels_.get());
    run_backward_.emplace("backward", &*backward_, transport, device, options.timeout,
                          options.trace != nullptr ? &options.trace->backward : nullptr);
  }

  absl::Status Forward(const ForwardTensors& tensors) override {
    const ComputingScope scope(transport_);
    return EndAllUnlessOk(RunForward(tensors));
  }
  absl::Status Backward(const BackwardTensors& tensors) override {
    const ComputingScope scope(transport_);
    return EndAllUnlessOk(RunBackward(tensors));
  }

 private:
  absl::Status RunForward(const ForwardTensors& tensors) {
    ASSIGN_OR_RETURN(MemoryBases bases, BasesOf({{Kind::query, tensors.query},
                                                 {Kind::key, tensors.key},
                                                 {Kind::value, tensors.value},
                                                 {Kind::output, tensors.output},
                                                 {Kind::lse, tensors.lse}},
                                                tensors.saved));
    forward_.Bind(bases);
    return run_forward_.Run();
  }

  absl::Status RunBackward(const BackwardTensors& tensors) {
    if (!backward_) {
      return absl::FailedPreconditionError(
          absl::StrCat("rank ", transport_->rank(),
                       ": the executor was made without backward (ExecutorOptions::backward)"));
    }
    ASSIGN_OR_RETURN(MemoryBases bases, BasesOf({{Kind::query, tensors.query},
                                                 {Kind::key, tensors.key},
                                                 {Kind::value, tensors.value},
                                                 {Kind::output, tensors.output},
                                                 {Kind::lse, tensors.lse},
                                                 {Kind::output_gradient, tensors.output_gradient},
                                                 {Kind::query_gradient, tensors.query_gradient},
                                                 {Kind::key_gradient, tensors.key_gradient},
                                                 {Kind::value_gradient, tensors.value_gradient}},
                                                tensors.saved));
    backward_->Bind(bases);
    return run_backward_->Run();
  }

  // Where the buffers of a pass lie, if the caller has given all of them.
  absl::StatusOr<MemoryBases> BasesOf(Tensors tensors, const void* saved) const {
    RETURN_IF_ERROR(CheckTensors(transport_->rank(), has_rows_, tensors));
    RETURN_IF_ERROR(CheckSaved(transport_->rank(), plan_.saved_bytes(), saved));
    MemoryBases bases;
    for (const auto& [kind, data] : tensors) bases.Set(kind, data);
    bases.saved = static_cast<char*>(const_cast<void*>(saved));
    bases.workspace = workspace_.get();
    return bases;
  }

  absl::Status EndAllUnlessOk(const absl::Status& status) {
    if (!status.ok()) transport_->Abort(status);
    return status;
  }

  const fbs::RankPlan& plan_;  // lives as long as forward_
  Transport* const transport_;
  const bool has_rows_;
  const DeviceMemory workspace_;
  const std::shared_ptr<AttentionKernels> kernels_;
  BoundForward forward_;
  ProgramRunner run_forward_;
  absl::optional<BoundBackward> backward_;
  absl::optional<ProgramRunner> run_backward_;
};

// Adds to a lack of memory or threads whose it is.
absl::Status OfRank(int rank, const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  return absl::Status(status.code(), absl::StrCat("rank ", rank, ": ", status.message()));
}

absl::StatusOr<std::unique_ptr<Executor>> CreateExecutor(const Plan& plan, int rank,
                                                         Transport* transport, Device* device,
                                                         const ExecutorOptions& options) {
  RETURN_IF_ERROR(CheckRanks(plan, rank, *transport));
  RETURN_IF_ERROR(AgreeOnPlan(plan, transport, options.timeout));
  RETURN_IF_ERROR(VerifyPlan(plan));
  absl::StatusOr<std::shared_ptr<AttentionKernels>> kernels =
      device->FindKernels(KernelSpecOf(plan));
  RETURN_IF_ERROR(OfRank(rank, kernels.status()));
  const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
  const uint64_t backward_bytes = options.backward ? rank_plan.backward_workspace_bytes() : 0;
  absl::StatusOr<DeviceMemory> workspace =
      device->Allocate(std::max(rank_plan.workspace_bytes(), backward_bytes));
  RETURN_IF_ERROR(OfRank(rank, workspace.status()));
  return std::make_unique<PlanExecutor>(plan, transport, device, *kernels, *std::move(workspace),
                                        options);
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

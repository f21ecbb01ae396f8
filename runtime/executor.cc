// The executor decides when the instructions of a rank's program start.
//
// One thread drives the rank. It computes in program order; exchanges run beside that: before each
// launch it starts, in the order of their stream, all exchanges whose waits are done, and it blocks
// on an exchange only where an instruction waits for it, or at the end of the step. Since a wait
// names an earlier instruction, all launches that an exchange may wait for have been made by then.

#include "runtime/executor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/bound_program.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/verify.h"
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

absl::Status CheckTensors(int rank, bool has_rows, const ForwardTensors& tensors) {
  std::pair<const char*, const void*> named[] = {{"query", tensors.query},
                                                 {"key", tensors.key},
                                                 {"value", tensors.value},
                                                 {"output", tensors.output},
                                                 {"lse", tensors.lse}};
  for (const auto& [name, data] : named) {
    if (data != nullptr || !has_rows) continue;
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank, ": tensor ", name, " is null"));
  }
  return absl::OkStatus();
}

class ProgramExecutor : public Executor {
 public:
  ProgramExecutor(const Plan& plan, Transport* transport, Device* device, AttentionKernel kernel,
                  DeviceMemory workspace, const ExecutorOptions& options)
      : transport_(transport),
        device_(device),
        kernel_(kernel),
        options_(options),
        spec_(KernelSpecOf(plan)),
        has_rows_(!Items(plan->ranks()->Get(transport->rank())->layout()).empty()),
        workspace_(std::move(workspace)),
        program_(plan, transport->rank(), workspace_.get()),
        instructions_(program_.instructions()),
        groups_(instructions_.size()),
        done_(instructions_.size()) {
    for (uint32_t i = 0; i < instructions_.size(); ++i) {
      if (instructions_[i].opcode() == fbs::Opcode::exchange) exchanges_.push_back(i);
    }
  }

  absl::Status Forward(const ForwardTensors& tensors) override {
    absl::Status status = CheckTensors(transport_->rank(), has_rows_, tensors);
    if (status.ok()) status = RunProgram(tensors);
    if (!status.ok()) transport_->Abort(status);
    return status;
  }

 private:
  absl::Status RunProgram(const ForwardTensors& tensors);
  bool WaitsAreDone(uint32_t index) const;
  absl::Status StartReadyExchanges();
  absl::Status StartExchange(uint32_t index);
  absl::Status Finish(uint32_t index);
  absl::Status Attend(uint32_t index);
  absl::Status At(uint32_t index, const absl::Status& status) const;

  Transport* const transport_;
  Device* const device_;
  const AttentionKernel kernel_;
  const ExecutorOptions options_;
  const KernelSpec spec_;
  const bool has_rows_;
  const DeviceMemory workspace_;
  BoundProgram program_;
  const absl::Span<const fbs::Instruction> instructions_;
  std::vector<uint32_t> exchanges_;  // indices, in the order of their stream

  // The state of a step.
  size_t num_started_ = 0;                // of exchanges_
  std::vector<Transport::Group> groups_;  // by instruction, for started exchanges
  std::vector<char> done_;                // by instruction
};

absl::Status ProgramExecutor::RunProgram(const ForwardTensors& tensors) {
  program_.Bind(tensors);
  num_started_ = 0;
  std::fill(done_.begin(), done_.end(), false);
  for (uint32_t i = 0; i < instructions_.size(); ++i) {
    if (instructions_[i].opcode() == fbs::Opcode::exchange) continue;
    RETURN_IF_ERROR(StartReadyExchanges());
    RETURN_IF_ERROR(Attend(i));
  }
  for (uint32_t index : exchanges_) RETURN_IF_ERROR(Finish(index));
  return absl::OkStatus();
}

bool ProgramExecutor::WaitsAreDone(uint32_t index) const {
  absl::Span<const uint32_t> waits = program_.Waits(instructions_[index]);
  return std::all_of(waits.begin(), waits.end(), [&](uint32_t wait) { return done_[wait]; });
}

absl::Status ProgramExecutor::StartReadyExchanges() {
  while (num_started_ < exchanges_.size() && WaitsAreDone(exchanges_[num_started_])) {
    RETURN_IF_ERROR(StartExchange(exchanges_[num_started_]));
  }
  return absl::OkStatus();
}

// Starts the next exchange of the stream; what it waits for is done.
absl::Status ProgramExecutor::StartExchange(uint32_t index) {
  absl::StatusOr<Transport::Group> group =
      transport_->Start(program_.Transfers(instructions_[index]));
  if (!group.ok()) return At(index, group.status());
  groups_[index] = *group;
  ++num_started_;
  return absl::OkStatus();
}

// Returns when an earlier instruction is done: launches are, exchanges may have to be started.
absl::Status ProgramExecutor::Finish(uint32_t index) {
  if (done_[index]) return absl::OkStatus();
  while (num_started_ < exchanges_.size() && exchanges_[num_started_] <= index) {
    const uint32_t next = exchanges_[num_started_];
    for (uint32_t wait : program_.Waits(instructions_[next])) RETURN_IF_ERROR(Finish(wait));
    RETURN_IF_ERROR(StartReadyExchanges());
  }
  RETURN_IF_ERROR(At(index, transport_->Wait(groups_[index], options_.timeout)));
  done_[index] = true;
  return StartReadyExchanges();
}

absl::Status ProgramExecutor::Attend(uint32_t index) {
  const fbs::Instruction& instruction = instructions_[index];
  for (uint32_t wait : program_.Waits(instruction)) RETURN_IF_ERROR(Finish(wait));
  RETURN_IF_ERROR(At(index, device_->Attend(kernel_, spec_, program_.Tiles(instruction))));
  done_[index] = true;
  return absl::OkStatus();
}

// Adds to an error where it happened.
absl::Status ProgramExecutor::At(uint32_t index, const absl::Status& status) const {
  if (status.ok()) return status;
  const fbs::Instruction& instruction = instructions_[index];
  return absl::Status(status.code(), absl::StrCat("rank ", transport_->rank(), ", forward, stage ",
                                                  instruction.stage(), ", instruction ", index,
                                                  " (", fbs::EnumNameOpcode(instruction.opcode()),
                                                  "): ", status.message()));
}

absl::StatusOr<std::unique_ptr<Executor>> CreateExecutor(const Plan& plan, int rank,
                                                         Transport* transport, Device* device,
                                                         const ExecutorOptions& options) {
  RETURN_IF_ERROR(CheckRanks(plan, rank, *transport));
  RETURN_IF_ERROR(AgreeOnPlan(plan, transport, options.timeout));
  RETURN_IF_ERROR(VerifyPlan(plan));
  ASSIGN_OR_RETURN(AttentionKernel kernel, device->FindKernel(KernelSpecOf(plan)));
  ASSIGN_OR_RETURN(DeviceMemory workspace,
                   device->Allocate(plan->ranks()->Get(rank)->workspace_bytes()));
  return std::make_unique<ProgramExecutor>(plan, transport, device, kernel, std::move(workspace),
                                           options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(const Plan& plan, int rank,
                                                           Transport* transport, Device* device,
                                                           const ExecutorOptions& options) {
  absl::StatusOr<std::unique_ptr<Executor>> executor =
      CreateExecutor(plan, rank, transport, device, options);
  if (!executor.ok()) transport->Abort(executor.status());
  return executor;
}

}  // namespace flashcp

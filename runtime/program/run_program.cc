#include "runtime/program/run_program.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "support/catch_exceptions.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

// One that throws has failed like one that returns an error: the other ranks must learn of it.
constexpr char kDevice[] = "the device";
constexpr char kTransport[] = "the transport";

}  // namespace

ProgramRunner::ProgramRunner(const char* pass, BoundProgram* program, Transport* transport,
                             Device* device, absl::Duration timeout, std::vector<TraceSpan>* trace)
    : pass_(pass),
      program_(*program),
      transport_(*transport),
      device_(*device),
      timeout_(timeout),
      instructions_(program->instructions()),
      trace_(trace),
      groups_(instructions_.size()),
      done_(instructions_.size()) {
  if (trace_ != nullptr) trace_->assign(instructions_.size(), TraceSpan());
  for (uint32_t i = 0; i < instructions_.size(); ++i) {
    if (IsExchange(instructions_[i])) exchanges_.push_back(i);
  }
}

absl::Status ProgramRunner::Run() {
  num_started_ = 0;
  std::fill(done_.begin(), done_.end(), false);
  for (uint32_t i = 0; i < instructions_.size(); ++i) {
    if (IsExchange(instructions_[i])) continue;
    RETURN_IF_ERROR(StartReadyExchanges());
    RETURN_IF_ERROR(Launch(i));
  }
  for (uint32_t index : exchanges_) RETURN_IF_ERROR(Finish(index));
  return absl::OkStatus();
}

bool ProgramRunner::WaitsAreDone(uint32_t index) const {
  absl::Span<const uint32_t> waits = program_.Waits(instructions_[index]);
  return std::all_of(waits.begin(), waits.end(), [&](uint32_t wait) { return done_[wait]; });
}

absl::Status ProgramRunner::StartReadyExchanges() {
  while (num_started_ < exchanges_.size() && WaitsAreDone(exchanges_[num_started_])) {
    RETURN_IF_ERROR(StartExchange(exchanges_[num_started_]));
  }
  return absl::OkStatus();
}

// Starts the next exchange of the stream; what it waits for is done.
absl::Status ProgramRunner::StartExchange(uint32_t index) {
  TraceBegin(index);
  absl::StatusOr<Transport::Group> group = CatchExceptions(
      kTransport, [&] { return transport_.Start(program_.Transfers(instructions_[index])); });
  if (!group.ok()) return At(index, group.status());
  groups_[index] = *group;
  ++num_started_;
  return absl::OkStatus();
}

// Returns when an earlier instruction is done: launches are, exchanges may have to be started.
absl::Status ProgramRunner::Finish(uint32_t index) {
  if (done_[index]) return absl::OkStatus();
  while (num_started_ < exchanges_.size() && exchanges_[num_started_] <= index) {
    const uint32_t next = exchanges_[num_started_];
    for (uint32_t wait : program_.Waits(instructions_[next])) RETURN_IF_ERROR(Finish(wait));
    RETURN_IF_ERROR(StartReadyExchanges());
  }
  RETURN_IF_ERROR(At(index, CatchExceptions(kTransport, [&] {
                       return transport_.Wait(groups_[index], timeout_);
                     })));
  TraceEnd(index, transport_.CompletedNs());
  done_[index] = true;
  return StartReadyExchanges();
}

absl::Status ProgramRunner::Launch(uint32_t index) {
  const fbs::Instruction& instruction = instructions_[index];
  for (uint32_t wait : program_.Waits(instruction)) RETURN_IF_ERROR(Finish(wait));
  TraceBegin(index);
  RETURN_IF_ERROR(
      At(index, CatchExceptions(kDevice, [&] { return program_.Launch(instruction, &device_); })));
  TraceEnd(index);
  done_[index] = true;
  return absl::OkStatus();
}

// Adds to an error where it happened.
absl::Status ProgramRunner::At(uint32_t index, const absl::Status& status) const {
  if (status.ok()) return status;
  const fbs::Instruction& instruction = instructions_[index];
  return absl::Status(
      status.code(),
      absl::StrCat("rank ", transport_.rank(), ", ", pass_, ", stage ", instruction.stage(),
                   ", instruction ", index, " (", fbs::EnumNameOpcode(instruction.opcode()),
                   "): ", status.message()));
}

}  // namespace flashcp

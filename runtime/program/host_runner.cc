// The host finds out what may start by asking which waits are done, and waits no earlier than an
// instruction needs it.

#include "runtime/program/host_runner.h"

#include <algorithm>

#include "support/status_macros.h"

namespace flashcp {

HostRunner::HostRunner(PreparedProgram* program, absl::Duration timeout,
                       std::vector<TraceSpan>* trace)
    : program_(*program),
      timeout_(timeout),
      instructions_(program->instructions()),
      trace_(trace),
      done_(instructions_.size()) {
  if (trace_ != nullptr) trace_->assign(instructions_.size(), TraceSpan());
  for (uint32_t i = 0; i < instructions_.size(); ++i) {
    if (IsExchange(instructions_[i])) exchanges_.push_back(i);
  }
}

absl::Status HostRunner::Run(BufferBases bases, Stream* caller) {
  if (caller != nullptr) {
    return absl::InvalidArgumentError("a stream was given, but the device has none");
  }
  bases_ = bases;
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

bool HostRunner::WaitsAreDone(uint32_t index) const {
  absl::Span<const uint32_t> waits = program_.Waits(index);
  return std::all_of(waits.begin(), waits.end(), [&](uint32_t wait) { return done_[wait]; });
}

absl::Status HostRunner::StartReadyExchanges() {
  while (num_started_ < exchanges_.size() && WaitsAreDone(exchanges_[num_started_])) {
    const uint32_t index = exchanges_[num_started_++];
    TraceBegin(index);
    RETURN_IF_ERROR(program_.Enqueue(index, bases_, nullptr));
  }
  return absl::OkStatus();
}

// Returns when an earlier instruction is done: launches are, exchanges may have to be started.
absl::Status HostRunner::Finish(uint32_t index) {
  if (done_[index]) return absl::OkStatus();
  while (num_started_ < exchanges_.size() && exchanges_[num_started_] <= index) {
    const uint32_t next = exchanges_[num_started_];
    for (uint32_t wait : program_.Waits(next)) RETURN_IF_ERROR(Finish(wait));
    RETURN_IF_ERROR(StartReadyExchanges());
  }
  RETURN_IF_ERROR(program_.Wait(index, timeout_));
  TraceEnd(index, program_.CompletedNs(index));
  done_[index] = true;
  return StartReadyExchanges();
}

absl::Status HostRunner::Launch(uint32_t index) {
  for (uint32_t wait : program_.Waits(index)) RETURN_IF_ERROR(Finish(wait));
  TraceBegin(index);
  RETURN_IF_ERROR(program_.Enqueue(index, bases_, nullptr));
  TraceEnd(index);
  done_[index] = true;
  return absl::OkStatus();
}

}  // namespace flashcp

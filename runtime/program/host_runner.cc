// The host finds out what may start by asking which waits are done, and waits no earlier than a
// step needs it.

#include "runtime/program/host_runner.h"

#include <algorithm>

#include "support/status_macros.h"

namespace flashcp {

HostRunner::HostRunner(PreparedProgram* program, absl::Duration timeout,
                       std::vector<TraceSpan>* trace)
    : program_(*program), timeout_(timeout), trace_(trace), done_(program->num_steps()) {
  if (trace_ != nullptr) trace_->assign(done_.size(), TraceSpan());
  for (uint32_t step = 0; step < done_.size(); ++step) {
    if (IsExchange(program_.InstructionOf(step))) exchanges_.push_back(step);
  }
}

absl::Status HostRunner::Run(BufferBases bases, Stream* caller) {
  if (caller != nullptr) {
    return absl::InvalidArgumentError("a stream was given, but the device has none");
  }
  bases_ = bases;
  num_started_ = 0;
  std::fill(done_.begin(), done_.end(), false);
  for (uint32_t step = 0; step < done_.size(); ++step) {
    if (IsExchange(program_.InstructionOf(step))) continue;
    RETURN_IF_ERROR(StartReadyExchanges());
    RETURN_IF_ERROR(Launch(step));
  }
  for (uint32_t step : exchanges_) RETURN_IF_ERROR(Finish(step));
  return absl::OkStatus();
}

bool HostRunner::WaitsAreDone(uint32_t step) const {
  absl::Span<const uint32_t> waits = program_.Waits(step);
  return std::all_of(waits.begin(), waits.end(), [&](uint32_t wait) { return done_[wait]; });
}

absl::Status HostRunner::StartReadyExchanges() {
  while (num_started_ < exchanges_.size() && WaitsAreDone(exchanges_[num_started_])) {
    const uint32_t step = exchanges_[num_started_++];
    TraceBegin(step);
    RETURN_IF_ERROR(program_.Enqueue(step, bases_, nullptr));
  }
  return absl::OkStatus();
}

// Returns when an earlier step is done: launches are, exchanges may have to be started.
absl::Status HostRunner::Finish(uint32_t step) {
  if (done_[step]) return absl::OkStatus();
  while (num_started_ < exchanges_.size() && exchanges_[num_started_] <= step) {
    const uint32_t next = exchanges_[num_started_];
    for (uint32_t wait : program_.Waits(next)) RETURN_IF_ERROR(Finish(wait));
    RETURN_IF_ERROR(StartReadyExchanges());
  }
  RETURN_IF_ERROR(program_.Wait(step, timeout_));
  TraceEnd(step, program_.CompletedNs(step));
  done_[step] = true;
  return StartReadyExchanges();
}

absl::Status HostRunner::Launch(uint32_t step) {
  for (uint32_t wait : program_.Waits(step)) RETURN_IF_ERROR(Finish(wait));
  TraceBegin(step);
  RETURN_IF_ERROR(program_.Enqueue(step, bases_, nullptr));
  TraceEnd(step);
  done_[step] = true;
  return absl::OkStatus();
}

}  // namespace flashcp

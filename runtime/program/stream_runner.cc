// Enqueueing follows the program; which events are waited for was found out once (event_plan.h),
// and each step records one, by which the watchdog knows how far the pass is.

#include "runtime/program/stream_runner.h"

#include "support/status_macros.h"

namespace flashcp {

absl::StatusOr<std::unique_ptr<ExecutorStreams>> ExecutorStreams::Create(Device* device) {
  auto streams = std::make_unique<ExecutorStreams>();
  ASSIGN_OR_RETURN(streams->compute, device->NewStream(StreamPriority::kNormal));
  // Messages that start early hide behind compute: they must not queue behind it.
  ASSIGN_OR_RETURN(streams->communication, device->NewStream(StreamPriority::kHigh));
  return streams;
}

absl::Status StreamRunner::Run(BufferBases bases, Stream* caller) {
  RETURN_IF_ERROR(watchdog_.status());
  const absl::Status enqueued = Enqueue(bases, caller);
  // If the watchdog has just ended the ranks, its reason is the first one.
  const absl::Status found = enqueued.ok() ? absl::OkStatus() : watchdog_.status();
  return found.ok() ? enqueued : found;
}

absl::Status StreamRunner::Enqueue(BufferBases bases, Stream* caller) {
  ASSIGN_OR_RETURN(PassEvents* const events, FreeEvents());
  RETURN_IF_ERROR(Begin(events, caller));
  RETURN_IF_ERROR(EnqueueAll(bases, events));
  RETURN_IF_ERROR(End(events, caller));
  watchdog_.Watch(events);
  return absl::OkStatus();
}

absl::StatusOr<PassEvents*> StreamRunner::FreeEvents() {
  for (const auto& slot : slots_) {
    if (!slot->under_way) return slot.get();
  }
  auto slot = std::make_unique<PassEvents>();
  slot->program = &program_;
  ASSIGN_OR_RETURN(slot->start, device_.NewEvent());
  for (uint32_t step = 0; step < program_.num_steps(); ++step) {
    ASSIGN_OR_RETURN(slot->done.emplace_back(), device_.NewEvent());
  }
  slots_.push_back(std::move(slot));
  return slots_.back().get();
}

// Lets the streams begin after the caller's work, or, without a caller, after the last pass.
absl::Status StreamRunner::Begin(PassEvents* events, Stream* caller) {
  if (caller != nullptr) RETURN_IF_ERROR(caller->Record(events->start.get()));
  const bool after_last = caller == nullptr || !streams_.had_caller;
  for (Stream* stream : {streams_.compute.get(), streams_.communication.get()}) {
    if (!events_.begins[stream == streams_.communication.get()]) continue;
    if (caller != nullptr) RETURN_IF_ERROR(stream->Wait(*events->start));
    for (const auto& [of, end] : streams_.ends) {
      if (after_last && of != stream) RETURN_IF_ERROR(stream->Wait(*end));
    }
  }
  return absl::OkStatus();
}

absl::Status StreamRunner::EnqueueAll(BufferBases bases, PassEvents* events) {
  for (uint32_t step = 0; step < program_.num_steps(); ++step) {
    Stream* const stream = StreamOf(step);
    for (uint32_t wait : events_.waits[step]) {
      RETURN_IF_ERROR(program_.At(step, stream->Wait(*events->done[wait])));
    }
    RETURN_IF_ERROR(program_.Enqueue(step, bases, stream));
    RETURN_IF_ERROR(program_.At(step, stream->Record(events->done[step].get())));
  }
  return absl::OkStatus();
}

// Lets later work of the caller begin after the pass.
absl::Status StreamRunner::End(PassEvents* events, Stream* caller) {
  streams_.ends.clear();
  streams_.had_caller = caller != nullptr;
  for (uint32_t end : events_.ends) {
    streams_.ends.emplace_back(StreamOf(end), events->done[end].get());
    if (caller != nullptr) RETURN_IF_ERROR(caller->Wait(*events->done[end]));
  }
  return absl::OkStatus();
}

}  // namespace flashcp

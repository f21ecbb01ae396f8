// The timeline of a step: when the instructions of one rank ran, and what each of them was.

#ifndef FLASHCP_RUNTIME_TRACE_H_
#define FLASHCP_RUNTIME_TRACE_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/plan/plan.h"

namespace flashcp {

// Nanoseconds of the steady clock, which the threads of a host share.
struct TraceSpan {
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
};

inline int64_t TraceNow() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What an executor records: of each pass the spans of its last run, one for each instruction of the
// program in each round, round after round. A launch spans its computation; an exchange spans from
// its start until its last message has been delivered, as the transport knows it
// (Transport::CompletedNs).
struct RankTrace {
  std::vector<TraceSpan> forward;
  std::vector<TraceSpan> backward;
};

// A span with its meaning.
struct TraceEvent {
  // "attend stage 1", "exchange gradients stage 2", and " group 3" behind it if there are several
  // groups of heads; no two passes share one.
  std::string name;
  TraceSpan span;
  bool backward = false;
  fbs::Stream stream = fbs::Stream::compute;
  int lane = 0;  // of its stream: events of one lane do not overlap
  uint32_t instruction = 0;
  uint32_t stage = 0;
  uint64_t tiles = 0;
  uint64_t pairs = 0;  // (query, key, query head) that the masks allow
  uint64_t messages = 0;
  uint64_t send_bytes = 0;
  uint64_t receive_bytes = 0;
};

// The events of one rank of a plan that passed VerifyPlan, forward then backward, each in program
// order, round after round; a pass that has not been recorded has none. Instructions that compute
// no tile and move no message of this rank have none either.
std::vector<TraceEvent> TraceEvents(const Plan& plan, int rank, const RankTrace& trace);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_TRACE_H_

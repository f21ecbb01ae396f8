#include "tools/cli/trace_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "support/status_macros.h"

namespace flashcp::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kClockRounds = 8;
constexpr int kLanesOfStream = 1000;  // numbers of threads: compute first, then communication

// How far the clock of this rank is ahead of that of rank 0. Nobody leaves an all-gather before all
// have entered it: each round bounds the difference from both sides. Clocks that may be the same
// are.
absl::StatusOr<int64_t> ClockOffset(Transport* transport, absl::Duration timeout) {
  int64_t least = std::numeric_limits<int64_t>::min();
  int64_t most = std::numeric_limits<int64_t>::max();
  for (int round = 0; round < kClockRounds; ++round) {
    const int64_t entered = TraceNow();
    ASSIGN_OR_RETURN(std::vector<uint64_t> all_entered, transport->AllGather(entered, timeout));
    const int64_t left = TraceNow();
    ASSIGN_OR_RETURN(std::vector<uint64_t> all_left, transport->AllGather(left, timeout));
    least = std::max(least, entered - static_cast<int64_t>(all_left[0]));
    most = std::min(most, left - static_cast<int64_t>(all_entered[0]));
  }
  return least <= 0 && 0 <= most ? 0 : least + (most - least) / 2;
}

// The name of a host with zeros behind it: all ranks know the size.
using HostName = std::array<char, 256>;

HostName ThisHost() {
  HostName name = {};
  if (gethostname(name.data(), name.size() - 1) != 0) return {"unknown"};
  return name;
}

// Sends the spans of one rank, and its host, to rank 0.
absl::Status Move(Transfer::Direction direction, int peer, std::vector<TraceSpan>* spans,
                  HostName* host, Transport* transport, absl::Duration timeout) {
  const std::vector<Bytes> runs = {
      {host->data(), host->size()},
      {reinterpret_cast<char*>(spans->data()), spans->size() * sizeof(TraceSpan)}};
  const std::vector<Transfer> transfers = {{direction, peer, /*tag=*/0, runs}};
  ASSIGN_OR_RETURN(Transport::Group group, transport->Start(transfers));
  return transport->Wait(group, timeout);
}

// What a process or thread of the trace is called, or labelled.
Json Describe(const char* what, int rank, int thread, const char* key, const std::string& text) {
  return {{"name", what}, {"ph", "M"}, {"pid", rank}, {"tid", thread}, {"args", {{key, text}}}};
}

int ThreadOf(const TraceEvent& event) {
  return (event.stream == fbs::Stream::compute ? 0 : kLanesOfStream) + event.lane;
}

std::string ThreadName(const TraceEvent& event) {
  const char* name = fbs::EnumNameStream(event.stream);
  return event.lane == 0 ? name : absl::StrCat(name, " ", event.lane + 1);
}

// Times in microseconds, as the format has them.
Json EventJson(int rank, const TraceEvent& event, int64_t origin_ns) {
  Json args = {{"instruction", event.instruction}, {"stage", event.stage}};
  auto add = [&](const char* name, uint64_t number) {
    if (number > 0) args[name] = number;
  };
  add("tiles", event.tiles);
  add("pairs", event.pairs);
  add("messages", event.messages);
  add("send_bytes", event.send_bytes);
  add("receive_bytes", event.receive_bytes);
  return {{"name", event.name},
          {"cat", event.backward ? "backward" : "forward"},
          {"ph", "X"},
          {"ts", (event.span.begin_ns - origin_ns) / 1e3},
          {"dur", (event.span.end_ns - event.span.begin_ns) / 1e3},
          {"pid", rank},
          {"tid", ThreadOf(event)},
          {"args", args}};
}

}  // namespace

absl::StatusOr<std::vector<HostTrace>> GatherTraces(const Plan& plan, const RankTrace& local,
                                                    Transport* transport, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const int64_t offset, ClockOffset(transport, timeout));
  std::vector<TraceSpan> spans = local.forward;
  spans.insert(spans.end(), local.backward.begin(), local.backward.end());
  for (TraceSpan& span : spans) span.begin_ns -= offset, span.end_ns -= offset;
  HostName host = ThisHost();
  std::vector<HostTrace> traces;
  if (transport->rank() != 0) {
    RETURN_IF_ERROR(Move(Transfer::Direction::kSend, 0, &spans, &host, transport, timeout));
    return traces;
  }
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(rank);
    const size_t forward = Items(rank_plan.forward()->instructions()).size();
    const size_t backward =
        local.backward.empty() ? 0 : Items(rank_plan.backward()->instructions()).size();
    if (rank > 0) {
      spans.resize(forward + backward);
      RETURN_IF_ERROR(Move(Transfer::Direction::kReceive, rank, &spans, &host, transport, timeout));
    }
    traces.push_back(
        {{{spans.begin(), spans.begin() + forward}, {spans.begin() + forward, spans.end()}},
         host.data()});
  }
  return traces;
}

std::string TraceJson(const Plan& plan, const std::vector<HostTrace>& traces) {
  int64_t origin_ns = std::numeric_limits<int64_t>::max();
  Json hosts = Json::array();
  for (const auto& [trace, host] : traces) {
    for (const TraceSpan& span : trace.forward) origin_ns = std::min(origin_ns, span.begin_ns);
    for (const TraceSpan& span : trace.backward) origin_ns = std::min(origin_ns, span.begin_ns);
    hosts.push_back(host);
  }
  Json events = Json::array();
  for (int rank = 0; rank < static_cast<int>(traces.size()); ++rank) {
    events.push_back(Describe("process_name", rank, 0, "name", absl::StrCat("rank ", rank)));
    events.push_back(Describe("process_labels", rank, 0, "labels", traces[rank].host));
    std::vector<int> named;
    for (const TraceEvent& event : TraceEvents(plan, rank, traces[rank].trace)) {
      if (std::find(named.begin(), named.end(), ThreadOf(event)) == named.end()) {
        named.push_back(ThreadOf(event));
        events.push_back(Describe("thread_name", rank, named.back(), "name", ThreadName(event)));
      }
      events.push_back(EventJson(rank, event, origin_ns));
    }
  }
  const Json about = {{"plan_hash", absl::StrFormat("%016x", plan.hash())}, {"hosts", hosts}};
  return Json({{"displayTimeUnit", "ms"}, {"otherData", about}, {"traceEvents", events}}).dump(1);
}

}  // namespace flashcp::cli

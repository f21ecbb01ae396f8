// Ranks become processes of the trace, and the lanes of their streams threads.

#include "tools/cli/trace_file.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace flashcp::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLanesOfStream = 1000;  // numbers of threads: compute first, then communication

// Returns the event that names, or labels, a process or thread of the trace.
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

// Returns an event of the format, whose times are in microseconds.
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

std::string TraceJson(const Plan& plan, const std::vector<session::HostTrace>& traces) {
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

// Clocks of two streams: for each of them, how many of its steps are known to be done.

#include "runtime/program/event_plan.h"

#include <algorithm>
#include <array>
#include <functional>

namespace flashcp {
namespace {

// Per stream, one after its last step that is done; 0: none is.
using Clock = std::array<uint32_t, 2>;

void Advance(const Clock& by, Clock* clock) {
  for (int stream = 0; stream < 2; ++stream) {
    (*clock)[stream] = std::max((*clock)[stream], by[stream]);
  }
}

}  // namespace

EventPlan PlanEvents(const BoundProgram& program) {
  EventPlan plan;
  plan.waits.resize(program.num_steps());
  std::vector<Clock> done(program.num_steps());  // once the step is
  Clock now[2] = {};                             // of each stream, behind its last step
  for (uint32_t i = 0; i < program.num_steps(); ++i) {
    const int stream = IsExchange(program.InstructionOf(i));
    std::vector<uint32_t> waits = program.waits[i];
    std::sort(waits.begin(), waits.end(), std::greater<>());  // the latest implies most
    for (uint32_t wait : waits) {
      if (wait < now[stream][IsExchange(program.InstructionOf(wait))]) continue;
      plan.waits[i].push_back(wait);
      Advance(done[wait], &now[stream]);
    }
    if (now[stream][stream] == 0) plan.begins[stream] = plan.waits[i].empty();
    now[stream][stream] = i + 1;
    done[i] = now[stream];
  }
  for (int stream = 0; stream < 2; ++stream) {
    const uint32_t end = now[stream][stream];
    if (end > 0 && now[1 - stream][stream] < end) plan.ends.push_back(end - 1);
  }
  return plan;
}

}  // namespace flashcp

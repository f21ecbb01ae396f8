// Which events order the two streams of a pass: the waits of the plan that nothing else implies.
//
// A stream does its work in order, so a wait within a stream is implied, and so is a wait for what
// an earlier wait stands behind. Each step gets a clock, the steps of both streams that are known
// to be done before it starts; a wait that does not advance the clock is left out.

#ifndef FLASHCP_RUNTIME_PROGRAM_EVENT_PLAN_H_
#define FLASHCP_RUNTIME_PROGRAM_EVENT_PLAN_H_

#include <cstdint>
#include <vector>

#include "runtime/program/bound_program.h"

namespace flashcp {

struct EventPlan {
  // By stream, compute first: whether it must be told to begin after what came before the pass; no
  // if its first step waits for one of the other stream, which was.
  bool begins[2] = {};
  // By step: the steps of the other stream that it waits for.
  std::vector<std::vector<uint32_t>> waits;
  // The steps after which all are done: the last of each stream, unless the other's last
  // implies it.
  std::vector<uint32_t> ends;
};

EventPlan PlanEvents(const BoundProgram& program);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_EVENT_PLAN_H_

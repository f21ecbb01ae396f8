// Lanes block until the generation of the barrier that their warp arrived in has passed.

#include "tests/emulator/warp_barriers.h"

#include <string>

#include "tests/emulator/race_tracker.h"

namespace flashcp::emulator {
namespace {

bool HasPassed(const Thread& thread) {
  return thread.cta->barriers.Passed(thread.wait_data[0], thread.wait_data[1]);
}

std::string Describe(const Thread& thread) {
  return thread.cta->barriers.Describe(thread.wait_data[0]);
}

constexpr WaitKind kBarrierWait = {HasPassed, Describe};

// The lanes of a warp must name one barrier and one count.
bool LanesAgree(const Meeting& meeting, int first) {
  for (int lane = first; lane < kLanes; ++lane) {
    if (!meeting.Has(lane)) continue;
    for (int i = 0; i < 2; ++i) {
      if (meeting.argument(lane, i) == meeting.argument(first, i)) continue;
      meeting.engine.FailMeeting(meeting, lane, "lanes give different barriers or counts");
      return false;
    }
  }
  return true;
}

// The last warp lets all others go on: those that are blocked here learn of each other's arrival.
void TrackArrival(RaceTracker& races, const Meeting& meeting, int id, bool completed, bool wait) {
  uint32_t left = meeting.mask;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!meeting.Has(lane)) continue;
    left &= left - 1;
    races.Arrive(meeting.thread(lane), id, completed && left == 0);
  }
  if (!completed) return;
  for (const Thread& thread : meeting.warp.cta->threads) {
    const bool waits = thread.state() == Thread::State::kBlocked && thread.wait == &kBarrierWait &&
                       thread.wait_data[0] == static_cast<uint64_t>(id);
    if (waits) races.Wait(thread, id);
  }
  for (int lane = 0; wait && lane < kLanes; ++lane) {
    if (meeting.Has(lane)) races.Wait(meeting.thread(lane), id);
  }
}

}  // namespace

void ArriveAtBarrier(bool wait, const Meeting& meeting) {
  const int first = __builtin_ctz(meeting.mask);
  if (!LanesAgree(meeting, first)) return;
  const int id = meeting.argument(first, 0);
  const auto arrival =
      meeting.warp.cta->barriers.Arrive(id, meeting.argument(first, 1), meeting.warp.lanes);
  if (!arrival.ok()) {
    meeting.engine.FailMeeting(meeting, first, arrival.status().message());
    return;
  }
  if (RaceTracker* const races = meeting.engine.races()) {
    TrackArrival(*races, meeting, id, arrival->completed, wait);
  }
  if (!wait || arrival->completed) return;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!meeting.Has(lane)) continue;
    meeting.engine.BlockInMeeting(meeting.thread(lane), kBarrierWait,
                                  {static_cast<uint64_t>(id), arrival->generation});
  }
}

}  // namespace flashcp::emulator

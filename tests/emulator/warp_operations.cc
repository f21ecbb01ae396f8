// Each follows the pseudo code of the ISA over the lanes of the mask.

#include "tests/emulator/warp_operations.h"

#include <algorithm>

namespace flashcp::emulator {

int ShuffleSource(ShuffleMode mode, int lane, uint32_t b, uint32_t c) {
  const int distance = b & 31;
  const int segment = c >> 8 & 31;
  const int clamp = c & 31;
  const int last = (lane & segment) | (clamp & ~segment);
  const int first = lane & segment;
  switch (mode) {
    case ShuffleMode::kUp:
      return lane - distance >= last ? lane - distance : -1;
    case ShuffleMode::kDown:
      return lane + distance <= last ? lane + distance : -1;
    case ShuffleMode::kButterfly:
      return (lane ^ distance) <= last ? lane ^ distance : -1;
    case ShuffleMode::kIndex: {
      const int source = first | (distance & ~segment);
      return source <= last ? source : -1;
    }
  }
  return -1;
}

void Shuffle(ShuffleMode mode, const Meeting& meeting) {
  const WarpRegister values = meeting.Gather(0);
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!meeting.Has(lane)) continue;
    const int source =
        ShuffleSource(mode, lane, meeting.argument(lane, 1), meeting.argument(lane, 2));
    const int read = source < 0 ? lane : source;
    if (!meeting.Has(read)) {
      meeting.engine.FailMeeting(meeting, lane, "it reads a lane that is not in the mask");
      return;
    }
    meeting.SetResult(lane, 0, values[read]);
    meeting.SetResult(lane, 1, source >= 0);
  }
}

void Vote(VoteMode mode, const Meeting& meeting) {
  uint32_t ballot = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (meeting.Has(lane) && (meeting.argument(lane, 0) & 1)) ballot |= 1u << lane;
  }
  const bool all = ballot == meeting.mask;
  const bool any = ballot != 0;
  const uint32_t result = mode == VoteMode::kBallot ? ballot
                          : mode == VoteMode::kAll  ? all
                          : mode == VoteMode::kAny  ? any
                                                    : all || !any;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (meeting.Has(lane)) meeting.SetResult(lane, 0, result);
  }
}

namespace {

uint32_t Combine(ReductionMode mode, bool is_signed, uint32_t x, uint32_t y) {
  const bool less = is_signed ? static_cast<int32_t>(x) < static_cast<int32_t>(y) : x < y;
  switch (mode) {
    case ReductionMode::kAdd:
      return x + y;
    case ReductionMode::kMin:
      return less ? x : y;
    case ReductionMode::kMax:
      return less ? y : x;
    case ReductionMode::kAnd:
      return x & y;
    case ReductionMode::kOr:
      return x | y;
    case ReductionMode::kXor:
      return x ^ y;
  }
  return 0;
}

}  // namespace

void Reduce(ReductionMode mode, bool is_signed, const Meeting& meeting) {
  const WarpRegister values = meeting.Gather(0);
  uint32_t result = 0;
  bool first = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!meeting.Has(lane)) continue;
    result = first ? values[lane] : Combine(mode, is_signed, result, values[lane]);
    first = false;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    if (meeting.Has(lane)) meeting.SetResult(lane, 0, result);
  }
}

void Elect(const Meeting& meeting) {
  const int leader = __builtin_ctz(meeting.mask);
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!meeting.Has(lane)) continue;
    meeting.SetResult(lane, 0, leader);
    meeting.SetResult(lane, 1, lane == leader);
  }
}

}  // namespace flashcp::emulator

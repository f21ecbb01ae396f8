#include "tests/emulator/vector_clock.h"

#include <algorithm>

namespace flashcp::emulator {

std::vector<uint32_t>& VectorClock::TimesOf(uint16_t cta) {
  for (Segment& segment : segments_) {
    if (segment.cta == cta) return segment.times;
  }
  segments_.push_back({cta, {}});
  return segments_.back().times;
}

void VectorClock::Set(Actor actor, uint32_t time) {
  std::vector<uint32_t>& times = TimesOf(actor.cta);
  if (times.size() <= actor.index) times.resize(actor.index + 1);
  times[actor.index] = time;
}

void VectorClock::Join(const VectorClock& other) {
  for (const Segment& segment : other.segments_) {
    std::vector<uint32_t>& times = TimesOf(segment.cta);
    if (times.size() < segment.times.size()) times.resize(segment.times.size());
    uint32_t* mine = times.data();
    const uint32_t* theirs = segment.times.data();
    for (size_t i = 0; i < segment.times.size(); ++i) mine[i] = std::max(mine[i], theirs[i]);
  }
}

}  // namespace flashcp::emulator

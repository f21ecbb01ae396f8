// Vector clocks of the threads and asynchronous operations of a grid: what each knows to have
// happened before. Sparse by CTA, since threads learn of other CTAs only through atomics on global
// memory.

#ifndef FLASHCP_TESTS_EMULATOR_VECTOR_CLOCK_H_
#define FLASHCP_TESTS_EMULATOR_VECTOR_CLOCK_H_

#include <cstdint>
#include <vector>

namespace flashcp::emulator {

// One sequence of events: a thread, or an asynchronous operation of a CTA.
struct Actor {
  uint16_t cta = 0;
  uint16_t index = 0;

  friend bool operator==(Actor a, Actor b) { return a.cta == b.cta && a.index == b.index; }
  friend bool operator!=(Actor a, Actor b) { return !(a == b); }
};

class VectorClock {
 public:
  // Number of the last event of the actor that is known, 0 for none.
  uint32_t Get(Actor actor) const {
    for (const Segment& segment : segments_) {
      if (segment.cta != actor.cta) continue;
      return actor.index < segment.times.size() ? segment.times[actor.index] : 0;
    }
    return 0;
  }
  void Set(Actor actor, uint32_t time);
  // Takes the later of both, actor by actor.
  void Join(const VectorClock& other);
  void Clear() { segments_.clear(); }
  bool empty() const { return segments_.empty(); }

 private:
  struct Segment {
    uint16_t cta;
    std::vector<uint32_t> times;
  };
  std::vector<uint32_t>& TimesOf(uint16_t cta);

  std::vector<Segment> segments_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_VECTOR_CLOCK_H_

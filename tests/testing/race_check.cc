// Words are of four bytes, the smallest thing that a rank's buffers hold rows of.

#include "tests/testing/race_check.h"

#include <algorithm>

namespace flashcp::testing {

constexpr uintptr_t kWordBytes = 4;

void RaceCheck::Work(int stream, const std::string& what, const std::vector<Access>& accesses) {
  Clock& clock = clocks_[stream];
  const uint32_t now = ++clock[stream];
  bool race = false;
  for (const Access& access : accesses) {
    const uintptr_t first = reinterpret_cast<uintptr_t>(access.data) / kWordBytes;
    const uintptr_t end =
        (reinterpret_cast<uintptr_t>(access.data) + access.size + kWordBytes - 1) / kWordBytes;
    for (uintptr_t i = first; i < end; ++i) {
      Word& word = words_[i];
      race |= !IsOrdered(word, access.write, clock);
      if (access.write) {
        word = {stream, now, {}};
      } else {
        word.read[stream] = now;
      }
    }
  }
  if (race) races_.push_back(what);
}

bool RaceCheck::IsOrdered(const Word& word, bool write, const Clock& clock) const {
  if (word.written > clock[word.writer]) return false;
  for (int stream = 0; write && stream < kMostStreams; ++stream) {
    if (word.read[stream] > clock[stream]) return false;
  }
  return true;
}

void RaceCheck::Wait(int stream, const Clock& event) {
  for (int s = 0; s < kMostStreams; ++s) {
    clocks_[stream][s] = std::max(clocks_[stream][s], event[s]);
  }
}

}  // namespace flashcp::testing

// Finds accesses to memory of a rank that nothing orders, from what it enqueues alone: what happens
// to run first does not matter.
//
// Each stream has a clock, the work of each stream that is known to be done before its next work.
// Work moves the clock of its own stream; a record keeps a clock in an event; a wait adds the clock
// of an event. Each word of memory remembers who wrote it last and who has read it since, and when:
// an access that does not know of these is a race. After FastTrack, Flanagan and Freund, PLDI 2009.

#ifndef FLASHCP_TESTS_TESTING_RACE_CHECK_H_
#define FLASHCP_TESTS_TESTING_RACE_CHECK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace flashcp::testing {

class RaceCheck {
 public:
  static constexpr int kMostStreams = 4;
  using Clock = std::array<uint32_t, kMostStreams>;
  struct Access {
    const char* data;
    size_t size;
    bool write;
  };

  int AddStream() { return num_streams_++; }
  void Work(int stream, const std::string& what, const std::vector<Access>& accesses);
  Clock Record(int stream) const { return clocks_[stream]; }
  void Wait(int stream, const Clock& event);

  const std::vector<std::string>& races() const { return races_; }

 private:
  struct Word {
    int writer = 0;
    uint32_t written = 0;
    Clock read = {};
  };
  bool IsOrdered(const Word& word, bool write, const Clock& clock) const;

  int num_streams_ = 0;
  std::array<Clock, kMostStreams> clocks_ = {};
  std::unordered_map<uintptr_t, Word> words_;
  std::vector<std::string> races_;
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_RACE_CHECK_H_

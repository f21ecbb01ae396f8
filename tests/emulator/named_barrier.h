// The 16 barriers of a CTA: bar.sync and bar.arrive with a number and a count of threads. PTX ISA,
// "bar, barrier".

#ifndef FLASHCP_TESTS_EMULATOR_NAMED_BARRIER_H_
#define FLASHCP_TESTS_EMULATOR_NAMED_BARRIER_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace flashcp::emulator {

class NamedBarriers {
 public:
  static constexpr int kBarriers = 16;
  struct Arrival {
    bool completed;       // The barrier has its threads, and is ready for the next ones.
    uint64_t generation;  // A thread that synchronises waits until Passed() of this.
  };

  explicit NamedBarriers(int cta_threads) : cta_threads_(cta_threads) {}

  // A warp arrives with all its threads. `threads` is the count operand; 0 stands for all of the
  // CTA. Warps that meet at a barrier must give one count.
  absl::StatusOr<Arrival> Arrive(int id, int threads, int warp_threads);
  bool Passed(int id, uint64_t generation) const { return barriers_[id].generation != generation; }

  // Returns the state for messages: "barrier 1 has 128 of 256 threads".
  std::string Describe(int id) const;

 private:
  struct Barrier {
    int expected = 0;  // 0 before the first arrival of a generation.
    int arrived = 0;
    uint64_t generation = 0;
  };
  const int cta_threads_;
  std::array<Barrier, kBarriers> barriers_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_NAMED_BARRIER_H_

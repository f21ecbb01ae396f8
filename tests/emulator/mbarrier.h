// The mbarrier object: 64 bits of shared memory that count arrivals and bytes, phase after phase.
// PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier". Hardware keeps its
// layout to itself; this one marks objects, so that uninitialised or overwritten ones are errors.

#ifndef FLASHCP_TESTS_EMULATOR_MBARRIER_H_
#define FLASHCP_TESTS_EMULATOR_MBARRIER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace flashcp::emulator {

// A view of an object; memory holds the whole state.
class Mbarrier {
 public:
  static constexpr uint32_t kMaxCount = (1 << 20) - 1;

  explicit Mbarrier(uint64_t* object) : object_(object) {}

  absl::Status Init(uint32_t count);
  absl::Status Invalidate();

  // The operations return whether they completed the current phase.
  absl::StatusOr<bool> Arrive(uint32_t count = 1);
  absl::StatusOr<bool> ExpectTx(uint32_t bytes);
  absl::StatusOr<bool> ArriveExpectTx(uint32_t bytes);
  absl::StatusOr<bool> CompleteTx(uint32_t bytes);

  // Returns the token of the current phase that mbarrier.arrive gives before it counts, and whether
  // the phase of a token, or the last phase of a parity, is complete.
  absl::StatusOr<uint64_t> State() const;
  absl::StatusOr<bool> Test(uint64_t state) const;
  absl::StatusOr<bool> TestParity(uint32_t parity) const;

  // Returns what the phase waits for: "its phase of parity 1 lacks 2 of 4 arrivals and 512 bytes".
  std::string Describe() const;

 private:
  struct Fields;
  absl::StatusOr<Fields> Load() const;
  bool Store(Fields fields);  // Completes the phase if nothing is missing; returns whether it did.

  uint64_t* object_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_MBARRIER_H_

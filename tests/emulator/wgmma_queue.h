// The products of one warp between issue and wait. wgmma is asynchronous: its accumulators, and A
// in registers, belong to it from issue until the wait that covers its group. Here accumulators in
// flight hold poison, and what a kernel must not do is an error: write a register in flight, issue
// without a wgmma.fence after touching a register of the product, leave with products in flight.

#ifndef FLASHCP_TESTS_EMULATOR_WGMMA_QUEUE_H_
#define FLASHCP_TESTS_EMULATOR_WGMMA_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tests/emulator/warp.h"
#include "tests/emulator/wgmma.h"

namespace flashcp::emulator {

// The registers that products of a kernel use, of all lanes of a warp: register r of lane l is
// frames[l][r]. The translated kernel keeps them in memory for this.
struct WarpFrames {
  std::array<uint32_t*, kLanes> frames = {};
  int registers = 0;
};

// What is known of a wgmma.mma_async when its kernel is loaded.
struct WgmmaInstruction {
  WgmmaShape shape;
  std::vector<uint16_t> accumulators;  // Registers of the frame, n / 2.
  std::array<uint16_t, kWgmmaARegisters> a = {};
  int line = 0;  // Of the PTX text, for messages.
};

class WgmmaQueue {
 public:
  // When a product reads shared memory: the extremes that the ISA allows.
  enum class Timing { kAtIssue, kAtWait };
  static constexpr uint32_t kPoison = 0x7fffdead;  // A NaN.

  // `warp` is the number of the warp in its warpgroup; the window of shared memory must stay.
  WgmmaQueue(int warp, WarpFrames frames, absl::Span<const std::byte> window, Timing timing);
  ~WgmmaQueue();

  // wgmma.fence.sync.aligned.
  void Fence();

  // wgmma.mma_async: `a` is the descriptor of A unless that is in registers. The instruction must
  // stay until the product is waited for.
  absl::Status Issue(const WgmmaInstruction& instruction, uint64_t a, uint64_t b, bool accumulate);

  // Returns the operands of the product issued last, for VisitReads().
  const WgmmaOperands& last_operands() const;

  // wgmma.commit_group.sync.aligned. Returns the number of the group, from 0.
  int Commit();

  // wgmma.wait_group.sync.aligned N: completes all but the last `pending` groups. Returns the
  // number of completed groups.
  absl::StatusOr<int> Wait(int pending);

  // Fails if products are in flight when the warp exits.
  absl::Status Finish() const;

 private:
  struct Product;
  struct Sums;

  absl::Status CheckFenced(const WgmmaInstruction& instruction, bool accumulate) const;
  absl::Status Compute(Product* product);
  absl::Status Retire(const std::vector<Product>& group);

  const int warp_;
  const WarpFrames frames_;
  const absl::Span<const std::byte> window_;
  const Timing timing_;
  bool fenced_ = false;
  std::vector<WarpRegister> fenced_values_;              // Of each register, at the last fence.
  std::map<uint16_t, std::shared_ptr<Sums>> in_flight_;  // By first accumulator.
  std::vector<Product> open_;                            // Issued, not committed.
  std::deque<std::vector<Product>> groups_;              // Committed, not waited for.
  int num_committed_ = 0;
  WgmmaOperands last_operands_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WGMMA_QUEUE_H_

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
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tests/emulator/warp.h"
#include "tests/emulator/wgmma.h"

namespace flashcp::emulator {

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
  // `frame` holds the registers that products of the kernel use: the translated kernel keeps them
  // in memory, and they must stay there.
  WgmmaQueue(int warp, absl::Span<WarpRegister> frame, absl::Span<const std::byte> window,
             Timing timing);

  // wgmma.fence.sync.aligned.
  void Fence();

  // wgmma.mma_async: `a` is the descriptor of A unless that is in registers. The instruction must
  // stay until the product is waited for.
  absl::Status Issue(const WgmmaInstruction& instruction, uint64_t a, uint64_t b, bool accumulate);

  // Returns the operands of the product issued last, for VisitReads().
  const WgmmaOperands& last_operands() const { return last_operands_; }

  // wgmma.commit_group.sync.aligned. Returns the number of the group, from 0.
  int Commit();

  // wgmma.wait_group.sync.aligned N: completes all but the last `pending` groups. Returns the
  // number of completed groups.
  absl::StatusOr<int> Wait(int pending);

  // Fails if products are in flight when the warp exits.
  absl::Status Finish() const;

 private:
  // Sums that products in flight share: products that chain on the same accumulators.
  struct Sums {
    std::vector<uint16_t> registers;  // Of the frame.
    std::vector<WarpRegister> values;
    int users = 0;
  };
  struct Product {
    const WgmmaInstruction* instruction;
    WgmmaOperands operands;
    bool accumulate;
    std::shared_ptr<Sums> sums;
  };
  using Group = std::vector<Product>;

  void Put(uint16_t index, const WarpRegister& value);
  absl::Status CheckFenced(const WgmmaInstruction& instruction, uint16_t index,
                           const std::string& name) const;
  absl::StatusOr<WgmmaOperands> OperandsOf(const WgmmaInstruction& instruction, uint64_t a,
                                           uint64_t b) const;
  absl::StatusOr<std::shared_ptr<Sums>> SumsOf(const WgmmaInstruction& instruction);
  absl::Status Compute(const Product& product) const;
  absl::Status Complete(const Group& group);
  absl::Status Release(const Product& product);

  const int warp_;
  const absl::Span<WarpRegister> frame_;
  const absl::Span<const std::byte> window_;
  const Timing timing_;
  std::vector<WarpRegister> fenced_;            // Values of registers at the last fence.
  std::vector<std::shared_ptr<Sums>> sums_of_;  // Of each register that is a sum in flight.
  std::vector<int> reads_of_;                   // Products in flight that have a register as A.
  Group open_;                                  // Issued, not committed.
  std::deque<Group> groups_;                    // Committed, not waited for.
  int num_committed_ = 0;
  WgmmaOperands last_operands_;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WGMMA_QUEUE_H_

// wgmma instructions of a warp. Each warp computes its own 16 rows, so that warps need not meet;
// that the four of a warpgroup issue the same products is checked.

#ifndef FLASHCP_TESTS_EMULATOR_WGMMA_OPERATIONS_H_
#define FLASHCP_TESTS_EMULATOR_WGMMA_OPERATIONS_H_

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/status/status.h"
#include "tests/emulator/vector_clock.h"
#include "tests/emulator/wgmma_queue.h"

namespace flashcp::emulator {

struct Meeting;

// The products of a warpgroup, in the order of its warps.
class WarpgroupProducts {
 public:
  static constexpr int kWarps = 4;
  struct Product {
    const WgmmaInstruction* instruction;
    uint64_t a;  // Descriptors; 0 if A is in registers.
    uint64_t b;
    bool accumulate;

    bool operator==(const Product& other) const {
      return instruction == other.instruction && a == other.a && b == other.b &&
             accumulate == other.accumulate;
    }
  };

  // A warp issues its next product: fails if another warp issued a different one in its place.
  absl::Status Issue(int warp, const Product& product);

 private:
  std::deque<Product> products_;  // Not yet issued by all warps.
  uint64_t num_dropped_ = 0;
  std::array<uint64_t, kWarps> num_issued_ = {};
};

// The products of a warp.
struct WarpProducts {
  WgmmaQueue queue;
  // The groups in flight as operations, the last one open, if races are looked for.
  std::deque<std::optional<Actor>> groups = {std::nullopt};
};

void FenceProducts(const Meeting& meeting);
// Arguments: descriptor of A or 0, descriptor of B, whether to accumulate. The instruction must
// stay as long as the kernel.
void IssueProduct(const WgmmaInstruction& instruction, const Meeting& meeting);
void CommitProducts(const Meeting& meeting);
void WaitProducts(int pending, const Meeting& meeting);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_WGMMA_OPERATIONS_H_

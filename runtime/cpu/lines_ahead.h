// Cache lines that a worker is about to need. The kernel fetches some of them with each group of
// keys that it multiplies: from memory they take longer than from a cache, but not longer than
// that.

#ifndef FLASHCP_RUNTIME_CPU_LINES_AHEAD_H_
#define FLASHCP_RUNTIME_CPU_LINES_AHEAD_H_

#include <algorithm>
#include <cstdint>

#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/pack.h"
#include "runtime/cpu/scratch.h"

namespace flashcp {

// Lines are fetched in pairs, which takes half as many addresses: rows are of whole pairs, mostly.
class LinesAhead {
 public:
  explicit LinesAhead(Scratch* scratch) : pairs_(scratch->Take<const void*>(kMaxPairsAhead)) {}

  void Clear() { count_ = 0; }

  // Dense rows. If there are too many, the rest come when they are read.
  template <typename Byte>
  void Add(const RowsOf<Byte>& rows) {
    rows.ForEachToken([&](const char* first, int64_t count) {
      const char* const end =
          first + std::min(count * rows.head_bytes, (kCapacity - count_) * kPair);
      for (const char* pair = first; pair < end; pair += kPair) pairs_[count_++] = pair;
    });
  }

  // How many each of `groups` is to fetch, of pairs(). The last pair repeats if they do not fill
  // all shares.
  int64_t Share(int64_t groups) {
    const int64_t share = (count_ + groups - 1) / groups;
    if (count_ > 0) std::fill(pairs_ + count_, pairs_ + share * groups, pairs_[count_ - 1]);
    return share;
  }
  const void* const* pairs() const { return pairs_; }

 private:
  static constexpr int64_t kPair = 128;  // bytes
  // Shares fit beside them: KernelShape.cpp checks that no call has more groups than a run keys.
  static constexpr int64_t kCapacity = kMaxPairsAhead - kRunKeys;

  const void** const pairs_;
  int64_t count_ = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_LINES_AHEAD_H_

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

class LinesAhead {
 public:
  explicit LinesAhead(Scratch* scratch) : lines_(scratch->Take<const void*>(kMaxLinesAhead)) {}

  void Clear() { count_ = 0; }

  // Lines of rows of so many bytes. Where there are too many, the rest come when they are read.
  template <typename Byte>
  void Add(const RowsOf<Byte>& rows, int bytes) {
    rows.ForEach([&](const char* row) {
      const int64_t end = std::min(count_ + (bytes + kLine - 1) / kLine, kCapacity);
      for (; count_ < end; row += kLine) lines_[count_++] = row;
    });
  }

  // How many each of `groups` is to fetch, of lines(). The last line repeats where they do not fill
  // all shares.
  int64_t Share(int64_t groups) {
    const int64_t share = (count_ + groups - 1) / groups;
    if (count_ > 0) std::fill(lines_ + count_, lines_ + share * groups, lines_[count_ - 1]);
    return share;
  }
  const void* const* lines() const { return lines_; }

 private:
  static constexpr int64_t kLine = 64;
  // Shares of a run's groups, at least one key each, fit beside them.
  static constexpr int64_t kCapacity = kMaxLinesAhead - kRunKeys;

  const void** const lines_;
  int64_t count_ = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_LINES_AHEAD_H_

// Memory of one worker, cut into arrays; the same code measures how much is needed.

#ifndef FLASHCP_RUNTIME_CPU_SCRATCH_H_
#define FLASHCP_RUNTIME_CPU_SCRATCH_H_

#include <cstddef>
#include <cstdint>

namespace flashcp {

// Arrays follow each other, aligned to 64 bytes. Without memory (null) it only measures.
class Scratch {
 public:
  explicit Scratch(char* memory) : memory_(memory) {}

  template <typename T>
  T* Take(int64_t count) {
    const size_t begin = bytes_;
    bytes_ += (count * sizeof(T) + 63) / 64 * 64;
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + begin);
  }

  size_t bytes() const { return bytes_; }

 private:
  char* const memory_;
  size_t bytes_ = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_SCRATCH_H_

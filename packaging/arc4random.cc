// Keeps the glibc that programs need at 2.34: Debian's LLVM calls arc4random, which glibc has since
// 2.36, to name temporary files, and so does its libstdc++.

#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

extern "C" __attribute__((visibility("hidden"))) uint32_t arc4random() {
  uint32_t value;
  if (getrandom(&value, sizeof(value), 0) != sizeof(value)) std::abort();
  return value;
}

// The memory that this process may still take, and the words for too little of it.

#ifndef FLASHCP_SUPPORT_FREE_MEMORY_H_
#define FLASHCP_SUPPORT_FREE_MEMORY_H_

#include <array>
#include <cstdint>
#include <string>

namespace flashcp {

struct FreeMemory {
  uint64_t bytes;
  const char* limit;  // that leaves no more: "ulimit -v"
};
FreeMemory FindFreeMemory();

// Returns "out of memory: 431 MiB in use, 8 MiB more found (ulimit -v)".
std::string OutOfMemoryMessage();

// Returns that message without an allocation, ended by a zero.
using OutOfMemoryText = std::array<char, 128>;
OutOfMemoryText DescribeOutOfMemory();

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_FREE_MEMORY_H_

// Finds how much memory this process may have, and ends flashcp when that is not enough.

#ifndef FLASHCP_TOOLS_CLI_MEMORY_H_
#define FLASHCP_TOOLS_CLI_MEMORY_H_

#include <cstdint>
#include <string>

namespace flashcp::cli {

// Memory that this process may still take, and what limits it.
struct FreeMemory {
  uint64_t bytes;
  const char* limit;  // "ulimit -v"
};
FreeMemory FindFreeMemory();

// Returns "out of memory: 431 MB in use, 8 MB more found (ulimit -v)".
std::string OutOfMemoryMessage();

// Says so on standard error and ends the process with exit code 1, without another allocation. For
// code that cannot be left by an exception, LLVM's for instance.
[[noreturn]] void ExitOutOfMemory();

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_MEMORY_H_

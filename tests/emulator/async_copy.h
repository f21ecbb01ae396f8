// cp.async: copies of 4, 8 or 16 bytes that a thread starts, commits in groups and waits for. A
// copy reads and writes when the schedule lets it land: at issue, at its wait, or in between.

#ifndef FLASHCP_TESTS_EMULATOR_ASYNC_COPY_H_
#define FLASHCP_TESTS_EMULATOR_ASYNC_COPY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace flashcp::emulator {

struct Thread;

struct AsyncCopy {
  std::byte* shared;
  const std::byte* global;
  uint32_t bytes;         // to write,
  uint32_t source_bytes;  // of which these are read; zeros follow
  bool landed = false;
};

struct CopyGroups {
  std::vector<AsyncCopy> open;
  std::deque<std::vector<AsyncCopy>> groups;
};

void StartCopy(Thread& thread, const AsyncCopy& copy);
void CommitCopies(Thread& thread);
// Waits until at most `pending` groups have not landed.
void WaitCopyGroups(Thread& thread, uint32_t pending);
void WaitAllCopies(Thread& thread);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_ASYNC_COPY_H_

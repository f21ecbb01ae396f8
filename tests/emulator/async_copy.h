// cp.async: copies of 4, 8 or 16 bytes that a thread starts, commits in groups and waits for. A
// copy reads and writes when the schedule lets it land: at issue, at its wait, or in between.

#ifndef FLASHCP_TESTS_EMULATOR_ASYNC_COPY_H_
#define FLASHCP_TESTS_EMULATOR_ASYNC_COPY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "tests/emulator/vector_clock.h"

namespace flashcp::emulator {

struct Thread;

struct AsyncCopy {
  std::byte* shared;
  const std::byte* global;
  uint32_t bytes;         // to write,
  uint32_t source_bytes;  // of which these are read; zeros follow
  bool landed = false;
};

// Copies that a thread commits together, as one operation if races are looked for.
struct CopyGroup {
  std::vector<AsyncCopy> copies;
  std::optional<Actor> actor;
};

struct CopyGroups {
  CopyGroup open;
  std::deque<CopyGroup> groups;
};

void StartCopy(Thread& thread, const AsyncCopy& copy);
void CommitCopies(Thread& thread);
// Waits until at most `pending` groups have not landed.
void WaitCopyGroups(Thread& thread, uint32_t pending);
void WaitAllCopies(Thread& thread);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_ASYNC_COPY_H_

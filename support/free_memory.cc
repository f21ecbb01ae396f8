// Reads what the kernel says of this process, without an allocation: it runs when there is no
// memory.

#include "support/free_memory.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace flashcp {
namespace {

using Text = std::array<char, 4096>;

// Reads the start of a small file of the kernel; empty if there is none.
Text ReadStart(const char* path) {
  Text text = {};
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  if (read(file, text.data(), text.size() - 1) < 0) text = {};
  close(file);
  return text;
}

struct Used {
  uint64_t mapped = 0;
  uint64_t resident = 0;
};

Used FindUsed() {
  uint64_t pages[2] = {};
  std::sscanf(ReadStart("/proc/self/statm").data(), "%" SCNu64 " %" SCNu64, &pages[0], &pages[1]);
  const uint64_t page = sysconf(_SC_PAGESIZE);
  return {pages[0] * page, pages[1] * page};
}

// Reads "NAME:  N kB" of /proc/meminfo, in bytes.
uint64_t Field(const Text& text, const char* name) {
  const char* found = std::strstr(text.data(), name);
  return found == nullptr ? 0 : std::strtoull(found + std::strlen(name), nullptr, 10) * 1024;
}

uint64_t Beyond(uint64_t used, uint64_t limit) { return limit > used ? limit - used : 0; }

}  // namespace

FreeMemory FindFreeMemory() {
  const Used used = FindUsed();
  const Text host = ReadStart("/proc/meminfo");
  FreeMemory found = {Field(host, "MemAvailable:") + Field(host, "SwapFree:"), "this host"};
  if (found.bytes == 0) found.bytes = UINT64_MAX;  // unknown
  auto bound = [&](uint64_t bytes, const char* limit) {
    if (bytes < found.bytes) found = {bytes, limit};
  };
  const uint64_t group = std::strtoull(ReadStart("/sys/fs/cgroup/memory.max").data(), nullptr, 10);
  if (group > 0) bound(Beyond(used.resident, group), "its control group");
  rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    bound(Beyond(used.mapped, limit.rlim_cur), "ulimit -v");
  }
  return found;
}

OutOfMemoryText DescribeOutOfMemory() {
  const FreeMemory found = FindFreeMemory();
  OutOfMemoryText text;
  std::snprintf(text.data(), text.size(),
                "out of memory: %" PRIu64 " MiB in use, %" PRIu64 " MiB more found (%s)",
                FindUsed().mapped >> 20, found.bytes >> 20, found.limit);
  return text;
}

std::string OutOfMemoryMessage() { return DescribeOutOfMemory().data(); }

}  // namespace flashcp

// Compiling where memory ends: in LLVM, in the planner or in the plan, by how much there is. A
// program of its own, whose heap has nothing left of other tests.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "flashcp.hpp"
#include "gtest/gtest.h"
#include "tests/api/compiled_plan.h"

namespace flashcp {
namespace {

using api::Request;
using testing::SmallRequest;

// Returns the bytes of address space that this process has.
uint64_t AddressSpace() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST(MemoryTest, WithoutItCompilingFailsAndTheProcessLives) {
  Request request = SmallRequest({{"ranks", "64"}, {"cluster", "h100x64"}});
  request.documents.assign(80, {3000});
  api::Compile(SmallRequest());  // loads and makes what is made once
  int failed = 0;
  for (uint64_t mib : {2, 10, 18, 26, 34}) {
    SCOPED_TRACE(mib);
    const pid_t child = fork();
    if (child == 0) {
      const uint64_t bytes = AddressSpace() + (mib << 20);
      const rlimit limit = {bytes, bytes};
      setrlimit(RLIMIT_AS, &limit);
      flashcp_plan* plan;
      flashcp_status status;
      api::WithRequest(request,
                       [&](const flashcp_request& c) { status = flashcp_compile(&c, &plan); });
      _exit(status);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) != FLASHCP_OK) {
      ++failed;
      EXPECT_EQ(WEXITSTATUS(status), FLASHCP_RESOURCE_EXHAUSTED);
    }
  }
  EXPECT_GT(failed, 0);
}

}  // namespace
}  // namespace flashcp

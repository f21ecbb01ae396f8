// A run that needs more memory than the process may take is refused before it takes any.

#include "session/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/plan/statistics.h"
#include "session/ranks.h"
#include "support/mebibytes.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::session {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Lets this process take `bytes` more than it has, while it lives.
class MemoryLimit {
 public:
  explicit MemoryLimit(rlim_t bytes) {
    getrlimit(RLIMIT_AS, &before_);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit = {pages * sysconf(_SC_PAGESIZE) + bytes, before_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_;
};

// Rank 1 owns three quarters of 40,000 tokens, which take 400 bytes each: 16 MB as a batch, and
// again as rows of the ranks.
Plan MakePlan() {
  testing::ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{40000, {{0, 10000, 0}, {10000, 40000, 1}}}};
  return testing::MakeToyPlan(problem);
}

MemoryNeed NeedOf(const Plan& plan, bool backward, uint64_t kernel_bytes = 0) {
  return FindMemoryNeed(plan, backward, *MakeThreadRanks(), kernel_bytes);
}

// Returns the verdict where so much is left.
absl::Status CheckWithin(rlim_t bytes, const MemoryNeed& need) {
  MemoryLimit limit(bytes);
  return CheckMemory(need);
}

TEST(FindMemoryNeedTest, AddsUpTensorsWorkspacesAndKernels) {
  const Plan plan = MakePlan();
  for (bool backward : {false, true}) {
    const MemoryNeed need = NeedOf(plan, backward, /*kernel_bytes=*/1000);
    uint64_t peaks = 0, workspaces = 0;
    for (const RankStatistics& rank : ComputeStatistics(plan).ranks) {
      peaks += backward ? rank.peak_bytes : rank.forward_peak_bytes;
    }
    for (const fbs::RankPlan* rank : *plan->ranks()) {
      workspaces += std::max(rank->workspace_bytes(), backward * rank->backward_workspace_bytes());
    }
    EXPECT_EQ(need.ranks, 2);
    EXPECT_EQ(need.workspace_bytes, workspaces);
    EXPECT_EQ(need.tensor_bytes + need.workspace_bytes, peaks);
    EXPECT_EQ(need.batch_bytes, need.tensor_bytes);  // nothing is saved
    EXPECT_EQ(need.kernel_bytes, 2000);
    EXPECT_EQ(need.TotalBytes(), need.batch_bytes + peaks + 2000);
    EXPECT_THAT(need.Text(), StartsWith(FormatBytes(need.TotalBytes()) + ": tensors of the batch "));
  }
}

TEST(CheckMemoryTest, ComparesWhatIsNeededWithWhatIsThere) {
  const Plan plan = MakePlan();
  const MemoryNeed need = NeedOf(plan, /*backward=*/false);
  EXPECT_EQ(CheckMemory(need), absl::OkStatus());
  const absl::Status status = CheckWithin(24 << 20, need);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("(ulimit -v)"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the tensors of the batch take 15.26 MiB"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 1 takes the most"));
}

// The limit that it names leaves room for all else, shared evenly by the ranks.
TEST(CheckMemoryTest, NamesAWorkspaceLimitThatFits) {
  const MemoryNeed need = NeedOf(MakePlan(), /*backward=*/true);
  const uint64_t others = need.TotalBytes() - need.workspace_bytes;
  ASSERT_GT(need.workspace_bytes, 12 << 20);
  // Half a MiB above and below what is asked for, since reading it takes some, too.
  const rlim_t half = 1 << 19;
  EXPECT_THAT(std::string(CheckWithin(others + (10 << 20) + half, need).message()),
              EndsWith("; compile with a workspace limit of 5 MiB to make it fit"));
  EXPECT_THAT(std::string(CheckWithin(others + (2 << 20) - half, need).message()),
              EndsWith("; no workspace limit makes it fit"));
  EXPECT_THAT(std::string(CheckWithin(others / 2, need).message()),
              EndsWith("; no workspace limit makes it fit"));
}

}  // namespace
}  // namespace flashcp::session

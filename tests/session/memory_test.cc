// A run that needs more memory than the process may take is refused before it takes any.

#include "session/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "session/ranks.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::session {
namespace {

using ::testing::HasSubstr;

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

TEST(CheckMemoryTest, ComparesWhatIsNeededWithWhatIsThere) {
  const Plan plan = MakePlan();
  const std::unique_ptr<Ranks> ranks = MakeThreadRanks();
  EXPECT_EQ(CheckMemory(plan, /*backward=*/false, *ranks), absl::OkStatus());
  absl::Status status;
  {
    MemoryLimit limit(24 << 20);
    status = CheckMemory(plan, /*backward=*/false, *ranks);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("(ulimit -v)"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the tensors of the batch take 15.26 MiB"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 1 takes the most"));
}

}  // namespace
}  // namespace flashcp::session

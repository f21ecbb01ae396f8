// The threads transport: the conformance suite, and what is particular to running threads.

#include <stdexcept>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "runtime/run_threads.h"
#include "tests/runtime/transport_conformance.h"

namespace flashcp {

INSTANTIATE_TEST_SUITE_P(Threads, TransportConformanceTest, ::testing::Values(&RunThreads));

namespace {

TEST(RunThreadsTest, GivesTheErrorOfTheRankThatFailedByItself) {
  absl::Status status = RunThreads(4, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 3) return absl::DataLossError("rank 3 lost it");
    return transport->AllGather(0, absl::Seconds(60)).status();
  });
  EXPECT_EQ(status, absl::DataLossError("rank 3 lost it"));
}

TEST(RunThreadsTest, ARankThatThrowsEndsAllOthers) {
  std::vector<absl::Status> errors(3);
  absl::Status status = RunThreads(3, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 1) throw std::runtime_error("the last straw");
    errors[transport->rank()] = transport->AllGather(0, absl::Seconds(60)).status();
    return errors[transport->rank()];
  });
  EXPECT_EQ(status, absl::InternalError("rank 1 threw the last straw"));
  for (int rank : {0, 2}) {
    EXPECT_EQ(errors[rank], absl::AbortedError("ended by rank 1: rank 1 threw the last straw"));
  }
}

}  // namespace
}  // namespace flashcp

// The threads transport: the conformance suite, and what is particular to running threads.

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

}  // namespace
}  // namespace flashcp

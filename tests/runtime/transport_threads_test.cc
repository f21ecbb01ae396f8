// The threads transport: the conformance suite, and what is particular to threads.

#include "runtime/transport_threads.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/run_threads.h"
#include "tests/runtime/transport_conformance.h"

namespace flashcp {

INSTANTIATE_TEST_SUITE_P(Threads, TransportConformanceTest, ::testing::Values(&RunThreads));

namespace {

using ::testing::HasSubstr;

TEST(ThreadsGroupTest, ATransportThatGoesWithOpenMessagesEndsTheGroup) {
  ThreadsGroup group(2);
  std::unique_ptr<Transport> waits = group.MakeTransport(0);
  char byte = 0;
  const std::vector<Bytes> runs = {{&byte, 1}};
  const std::vector<Transfer> receive = {{Transfer::Direction::kReceive, 1, 0, runs}};
  absl::StatusOr<Transport::Group> started = waits->Start(receive);
  ASSERT_TRUE(started.ok());
  {
    std::unique_ptr<Transport> leaves = group.MakeTransport(1);
    const std::vector<Transfer> other = {{Transfer::Direction::kReceive, 0, 0, runs}};
    ASSERT_TRUE(leaves->Start(other).ok());
  }
  absl::Status status = waits->Wait(*started, absl::Seconds(60));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 1"));
}

TEST(ThreadsGroupTest, AnUnknownGroupIsRefused) {
  ThreadsGroup group(1);
  std::unique_ptr<Transport> transport = group.MakeTransport(0);
  EXPECT_EQ(transport->Wait(0, absl::Seconds(60)).code(), absl::StatusCode::kInvalidArgument);
  absl::StatusOr<Transport::Group> started = transport->Start({});
  ASSERT_TRUE(started.ok());
  EXPECT_TRUE(transport->Wait(*started, absl::Seconds(60)).ok());
  EXPECT_EQ(transport->Wait(*started, absl::Seconds(60)).code(),
            absl::StatusCode::kInvalidArgument);
}

// One rank leaves at a random moment of an exchange and frees its memory at once: with asan or tsan
// this finds copies from or to memory that is gone.
TEST(ThreadsGroupTest, ARankThatAbortsMayFreeItsMemory) {
  constexpr size_t kBytes = 1 << 16;
  for (int round = 0; round < 50; ++round) {
    absl::Status status = RunThreads(3, [&](Transport* transport) -> absl::Status {
      int rank = transport->rank();
      auto memory = std::make_unique<std::vector<char>>(4 * kBytes, 'x');
      std::vector<Bytes> runs;
      for (int i = 0; i < 4; ++i) runs.push_back({memory->data() + i * kBytes, kBytes});
      std::vector<Transfer> transfers;
      for (int i = 0; i < 2; ++i) {
        int peer = (rank + 1 + i) % 3;
        transfers.push_back({Transfer::Direction::kSend, peer, 0, {&runs[i], 1}});
        transfers.push_back({Transfer::Direction::kReceive, peer, 0, {&runs[2 + i], 1}});
      }
      absl::StatusOr<Transport::Group> group = transport->Start(transfers);
      if (group.ok() && rank != round % 3) return transport->Wait(*group, absl::Seconds(60));
      transport->Abort(absl::InternalError("gone"));
      memory.reset();
      return absl::InternalError("gone");
    });
    EXPECT_EQ(status, absl::InternalError("gone"));
  }
}

TEST(RunThreadsTest, GivesTheErrorOfTheRankThatFailedByItself) {
  absl::Status status = RunThreads(4, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 3) return absl::DataLossError("rank 3 lost it");
    return transport->AllGather(0, absl::Seconds(60)).status();
  });
  EXPECT_EQ(status, absl::DataLossError("rank 3 lost it"));
}

}  // namespace
}  // namespace flashcp

// The threads transport: the conformance suite, and what is particular to running threads.

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/runtime/transport_conformance.h"

namespace flashcp {

INSTANTIATE_TEST_SUITE_P(Threads, TransportConformanceTest, ::testing::Values(&RunThreads));

namespace {

constexpr absl::Duration kLong = absl::Seconds(60);        // never reached by a test that passes
constexpr absl::Duration kShort = absl::Milliseconds(20);  // reached many times

// One message of a byte between two ranks, waited for.
absl::Status MoveByte(Transport* transport, Message::Direction direction, int peer,
                      absl::Duration timeout) {
  char byte = 0;
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange,
                   transport->Prepare({{direction, peer, /*tag=*/0, {{0, 0, 1}}}}));
  char* const bases[] = {&byte};
  RETURN_IF_ERROR(exchange->Start(bases, nullptr));
  return exchange->Wait(timeout);
}

absl::Status Send(Transport* transport, int peer, absl::Duration timeout) {
  return MoveByte(transport, Message::Direction::kSend, peer, timeout);
}

absl::Status Receive(Transport* transport, int peer, absl::Duration timeout) {
  return MoveByte(transport, Message::Direction::kReceive, peer, timeout);
}

// Computes on all ranks from a moment that none of them precedes.
absl::Status ComputeTogether(Transport* transport) {
  transport->SetComputing(true);
  return transport->AllGather(0, kLong).status();
}

void ComputeLong() { absl::SleepFor(10 * kShort); }

TEST(ThreadsTimeoutTest, ARankThatComputesIsWaitedFor) {
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    RETURN_IF_ERROR(ComputeTogether(transport));
    if (transport->rank() == 0) return Receive(transport, 1, kShort);
    ComputeLong();
    return Send(transport, 0, kShort);
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST(ThreadsTimeoutTest, SoIsARankThatWaitsForOneThatComputes) {
  absl::Status status = RunThreads(4, [&](Transport* transport) -> absl::Status {
    const int rank = transport->rank();
    RETURN_IF_ERROR(ComputeTogether(transport));
    if (rank == 3) ComputeLong();
    if (rank < 3) RETURN_IF_ERROR(Receive(transport, rank + 1, kShort));
    return rank > 0 ? Send(transport, rank - 1, kShort) : absl::OkStatus();
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST(ThreadsTimeoutTest, AllGathersWaitForRanksThatCompute) {
  absl::Status status = RunThreads(3, [&](Transport* transport) -> absl::Status {
    RETURN_IF_ERROR(ComputeTogether(transport));
    if (transport->rank() == 1) ComputeLong();
    return transport->AllGather(0, kShort).status();
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST(ThreadsTimeoutTest, ACircleOfWaitsRunsOutOfTimeThoughAnotherRankComputes) {
  constexpr int kCircle = 3;
  absl::Notification over;
  absl::Status status = RunThreads(kCircle + 1, [&](Transport* transport) -> absl::Status {
    const int rank = transport->rank();
    RETURN_IF_ERROR(ComputeTogether(transport));
    if (rank == kCircle) {
      over.WaitForNotification();
      return absl::OkStatus();
    }
    const absl::Status received = Receive(transport, (rank + 1) % kCircle, kShort);
    if (rank == 0) over.Notify();
    return received;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

// Rank 2 computes until the group has ended; rank 1 does nothing, or has left.
TEST(ThreadsTimeoutTest, ARankThatDoesNothingIsLostThoughAnotherOneComputes) {
  for (const bool leaves : {false, true}) {
    absl::Notification over;
    absl::Status status = RunThreads(3, [&](Transport* transport) -> absl::Status {
      RETURN_IF_ERROR(ComputeTogether(transport));
      if (transport->rank() == 0) {
        const absl::Status received = Receive(transport, 1, kShort);
        over.Notify();
        return received;
      }
      if (transport->rank() == 1) {
        if (leaves) return absl::OkStatus();
        transport->SetComputing(false);
      }
      over.WaitForNotification();
      return absl::OkStatus();
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_NE(status.message().find("rank 0 waited 20ms for rank 1: "), std::string::npos)
        << status;
  }
}

TEST(RunThreadsTest, GivesTheErrorOfTheRankThatFailedByItself) {
  absl::Status status = RunThreads(4, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 3) return absl::DataLossError("rank 3 lost it");
    return transport->AllGather(0, absl::Seconds(60)).status();
  });
  EXPECT_EQ(status, absl::DataLossError("rank 3 lost it"));
}

TEST(RunThreadsTest, ARankWithoutMemoryIsNamed) {
  absl::Status status = RunThreads(2, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 1) throw std::bad_alloc();
    return transport->AllGather(0, kLong).status();
  });
  EXPECT_EQ(status, absl::ResourceExhaustedError("rank 1: out of memory"));
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

// Links that are modelled: arrival times, and the conformance suite of transports over them.

#include "benchmarks/link_model.h"

#include <chrono>
#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"
#include "tests/runtime/transport_conformance.h"

namespace flashcp {

static absl::Status RunLinked(int num_ranks, const std::function<absl::Status(Transport*)>& run) {
  LinkModel link(num_ranks, {/*bytes_per_us=*/10, /*latency_us=*/50});
  ThreadsGroup group(num_ranks, &link);
  return RunThreadsOf(&group, run);
}

INSTANTIATE_TEST_SUITE_P(Linked, TransportConformanceTest, ::testing::Values(&RunLinked));

namespace {

using std::chrono::microseconds;

DeliveryModel::Time At(int us) {
  return DeliveryModel::Time(std::chrono::hours(1)) + microseconds(us);
}

TEST(LinkModelTest, AMessageTakesItsBytesAndTheLatency) {
  LinkModel link(2, {/*bytes_per_us=*/100, /*latency_us=*/7});
  EXPECT_EQ(link.Arrival(0, 1, 1000, At(0)), At(17));
  EXPECT_EQ(link.Arrival(0, 1, 0, At(100)), At(107));
}

TEST(LinkModelTest, EachWayCarriesOneMessageAfterTheOther) {
  LinkModel link(3, {/*bytes_per_us=*/100, /*latency_us=*/0});
  EXPECT_EQ(link.Arrival(0, 1, 1000, At(0)), At(10));
  EXPECT_EQ(link.Arrival(0, 2, 500, At(2)), At(15));   // after the first, out of rank 0
  EXPECT_EQ(link.Arrival(2, 1, 500, At(3)), At(15));   // after the first, into rank 1
  EXPECT_EQ(link.Arrival(1, 0, 1000, At(4)), At(14));  // the other way is free
}

TEST(LinkModelTest, LatencyDoesNotOccupyTheWay) {
  LinkModel link(2, {/*bytes_per_us=*/100, /*latency_us=*/50});
  EXPECT_EQ(link.Arrival(0, 1, 1000, At(0)), At(60));
  EXPECT_EQ(link.Arrival(0, 1, 1000, At(0)), At(70));
}

// A wait sleeps until the message is there, and CompletedNs says when it was.
TEST(LinkModelTest, AGroupCompletesWhenItsLastMessageHasArrived) {
  constexpr int64_t kTransferNs = 20'000'000;
  LinkModel link(2, {/*bytes_per_us=*/0.5, /*latency_us=*/0});
  ThreadsGroup group(2, &link);
  absl::Status status = RunThreadsOf(&group, [](Transport* transport) -> absl::Status {
    std::string data(10000, 'x');
    const int peer = 1 - transport->rank();
    const auto direction = peer == 1 ? Message::Direction::kSend : Message::Direction::kReceive;
    const Message message = {direction, peer, 0, {{0, 0, data.size()}}};
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare({message}));
    char* const bases[] = {&data[0]};
    const int64_t before =
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
    RETURN_IF_ERROR(exchange->Start(bases, nullptr));
    RETURN_IF_ERROR(exchange->Wait(absl::Seconds(60)));
    const int64_t after =
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
    EXPECT_GE(exchange->CompletedNs(), before + kTransferNs);
    EXPECT_LE(exchange->CompletedNs(), after);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace flashcp

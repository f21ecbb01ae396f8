#include "tests/runtime/transport_conformance.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using Direction = Transfer::Direction;

constexpr absl::Duration kLong = absl::Seconds(60);        // never reached by a test that passes
constexpr absl::Duration kShort = absl::Milliseconds(20);  // always reached

// A message over memory of its own, cut into runs.
class Message {
 public:
  Message(Direction direction, int peer, uint32_t tag, std::string data,
          std::vector<size_t> cuts = {})
      : direction_(direction), peer_(peer), tag_(tag), data_(std::move(data)) {
    cuts.push_back(data_.size());
    size_t begin = 0;
    for (size_t cut : cuts) {
      runs_.push_back({&data_[0] + begin, cut - begin});
      begin = cut;
    }
  }
  Message(const Message&) = delete;

  Transfer transfer() const { return {direction_, peer_, tag_, runs_}; }
  const std::string& data() const { return data_; }

 private:
  const Direction direction_;
  const int peer_;
  const uint32_t tag_;
  std::string data_;
  std::vector<Bytes> runs_;
};

absl::Status StartAndWait(Transport* transport, const std::vector<Transfer>& transfers,
                          absl::Duration timeout = kLong) {
  ASSIGN_OR_RETURN(Transport::Group group, transport->Start(transfers));
  return transport->Wait(group, timeout);
}

TEST_P(TransportConformanceTest, KnowsItsRank) {
  absl::Status status = GetParam()(3, [&](Transport* transport) -> absl::Status {
    EXPECT_EQ(transport->size(), 3);
    ASSIGN_OR_RETURN(std::vector<uint64_t> ranks, transport->AllGather(transport->rank(), kLong));
    EXPECT_EQ(ranks, (std::vector<uint64_t>{0, 1, 2}));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, TwoSidesMayCutThePayloadDifferently) {
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 0) {
      Message message(Direction::kSend, 1, 7, "hello, ranks", {5, 5, 6});
      return StartAndWait(transport, {message.transfer()});
    }
    Message message(Direction::kReceive, 0, 7, std::string(12, '?'), {0, 1, 9, 11});
    RETURN_IF_ERROR(StartAndWait(transport, {message.transfer()}));
    EXPECT_EQ(message.data(), "hello, ranks");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, KnowsWhenAGroupWasComplete) {
  auto now = [] { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); };
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    const auto direction = transport->rank() == 0 ? Direction::kSend : Direction::kReceive;
    for (int step = 0; step < 3; ++step) {
      Message message(direction, 1 - transport->rank(), 7, std::string(1 << 20, '?'));
      const std::vector<Transfer> transfers = {message.transfer()};
      const int64_t before = now();
      ASSIGN_OR_RETURN(Transport::Group group, transport->Start(transfers));
      if (step == 1) absl::SleepFor(absl::Milliseconds(20));
      RETURN_IF_ERROR(transport->Wait(group, kLong));
      EXPECT_GE(transport->CompletedNs(), before);
      EXPECT_LE(transport->CompletedNs(), now());
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, MessagesOfAPairMatchInOrder) {
  constexpr int kMessages = 20;
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    bool sends = transport->rank() == 0;
    std::vector<std::unique_ptr<Message>> messages;
    std::vector<Transfer> transfers;
    for (int i = 0; i < kMessages; ++i) {
      messages.push_back(
          std::make_unique<Message>(sends ? Direction::kSend : Direction::kReceive, sends ? 1 : 0,
                                    i, sends ? std::string(4, 'a' + i) : std::string(4, '?')));
      transfers.push_back(messages.back()->transfer());
    }
    // Groups of other sizes on the two sides; the receiver waits for the last one first.
    size_t step = sends ? 5 : 4;
    std::vector<Transport::Group> groups;
    for (size_t i = 0; i < kMessages; i += step) {
      ASSIGN_OR_RETURN(Transport::Group group,
                       transport->Start(absl::MakeConstSpan(transfers).subspan(i, step)));
      groups.push_back(group);
    }
    while (!groups.empty()) {
      RETURN_IF_ERROR(transport->Wait(groups.back(), kLong));
      groups.pop_back();
    }
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_EQ(messages[i]->data(), std::string(4, 'a' + i)) << i;
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, ManyPeersAtOnceAgainAndAgain) {
  constexpr int kRanks = 6;
  absl::Status status = GetParam()(kRanks, [&](Transport* transport) -> absl::Status {
    for (uint32_t round = 0; round < 30; ++round) {
      std::vector<std::unique_ptr<Message>> received;
      std::vector<std::unique_ptr<Message>> sent;
      std::vector<Transfer> transfers;
      for (int peer = 0; peer < kRanks; ++peer) {
        if (peer == transport->rank()) continue;
        std::string mine = absl::StrCat(transport->rank(), ">", peer, " round ", 100 + round);
        sent.push_back(std::make_unique<Message>(Direction::kSend, peer, round, mine));
        transfers.push_back(sent.back()->transfer());
        received.push_back(std::make_unique<Message>(Direction::kReceive, peer, round,
                                                     std::string(mine.size(), '?')));
        transfers.push_back(received.back()->transfer());
      }
      RETURN_IF_ERROR(StartAndWait(transport, transfers));
      for (const auto& message : received) {
        EXPECT_EQ(message->data(), absl::StrCat(message->transfer().peer, ">", transport->rank(),
                                                " round ", 100 + round));
      }
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// As a plan's messages, which keep their table of runs while the memory behind it changes.
TEST_P(TransportConformanceTest, LargeMessagesOfManyRunsInNewMemory) {
  constexpr size_t kBytes = 3000000;
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    const bool sends = transport->rank() == 0;
    const size_t run_bytes = sends ? 1000 : 30000;
    std::vector<Bytes> runs(kBytes / run_bytes);
    const std::vector<Transfer> transfers = {
        {sends ? Direction::kSend : Direction::kReceive, 1 - transport->rank(), 0, runs}};
    for (int round = 0; round < 4; ++round) {
      std::string expected;
      for (size_t i = 0; i < kBytes; ++i) expected.push_back((i / 7 + round) * 31 % 127);
      std::string data = sends ? expected : std::string(kBytes, '?');
      std::string elsewhere = data;
      // Every other run is that of a second tensor.
      for (size_t i = 0; i < runs.size(); ++i) {
        runs[i] = {&(i % 2 == 0 ? data : elsewhere)[i * run_bytes], run_bytes};
      }
      RETURN_IF_ERROR(StartAndWait(transport, transfers));
      for (size_t i = 0; i < runs.size(); ++i) {
        EXPECT_EQ(std::string(runs[i].data, run_bytes), expected.substr(i * run_bytes, run_bytes));
      }
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, AGroupCompletesOnceThePeerHasStartedWhateverItDoesNext) {
  // Rank 1 starts the receive, then waits for a message that rank 0 sends after its first.
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    bool sends = transport->rank() == 0;
    Direction direction = sends ? Direction::kSend : Direction::kReceive;
    Message first(direction, 1 - transport->rank(), 0, sends ? "one" : "???");
    Message second(direction, 1 - transport->rank(), 1, sends ? "two" : "???");
    if (sends) {
      RETURN_IF_ERROR(StartAndWait(transport, {first.transfer()}));
      return StartAndWait(transport, {second.transfer()});
    }
    const std::vector<Transfer> transfers = {first.transfer(), second.transfer()};
    ASSIGN_OR_RETURN(Transport::Group a,
                     transport->Start(absl::MakeConstSpan(transfers).subspan(0, 1)));
    ASSIGN_OR_RETURN(Transport::Group b,
                     transport->Start(absl::MakeConstSpan(transfers).subspan(1, 1)));
    RETURN_IF_ERROR(transport->Wait(b, kLong));
    RETURN_IF_ERROR(transport->Wait(a, kLong));
    EXPECT_EQ(first.data() + second.data(), "onetwo");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, EmptyMessagesAndGroups) {
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    RETURN_IF_ERROR(StartAndWait(transport, {}));
    Direction direction = transport->rank() == 0 ? Direction::kSend : Direction::kReceive;
    Message empty(direction, 1 - transport->rank(), 3, "");
    Transfer no_runs = {direction, 1 - transport->rank(), 4, {}};
    return StartAndWait(transport, {empty.transfer(), no_runs});
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Rank 0 sends `sent` with tag 5, rank 1 receives `received` bytes with `tag`: the first error.
absl::Status Mismatch(RankRunner runner, const std::string& sent, size_t received, uint32_t tag) {
  return runner(2, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 0) {
      Message message(Direction::kSend, 1, 5, sent);
      absl::Status status = StartAndWait(transport, {message.transfer()});
      // The sender may be done before the receiver has looked, but not go on.
      if (status.ok()) status = transport->AllGather(0, kLong).status();
      EXPECT_FALSE(status.ok());
      return status;
    }
    Message message(Direction::kReceive, 0, tag, std::string(received, '?'));
    absl::Status status = StartAndWait(transport, {message.transfer()});
    EXPECT_FALSE(status.ok());
    return status;
  });
}

TEST_P(TransportConformanceTest, DifferentSizesAreAnErrorThatNamesBothRanks) {
  absl::Status status = Mismatch(GetParam(), "12345", 4, 5);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("rank 0 sends 5 bytes"), HasSubstr("rank 1 receives 4 bytes")));
}

TEST_P(TransportConformanceTest, DifferentTagsAreAnErrorThatNamesBothRanks) {
  absl::Status status = Mismatch(GetParam(), "12345", 5, 6);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("rank 0"), HasSubstr("tag 5"),
                                                   HasSubstr("rank 1"), HasSubstr("tag 6")));
}

TEST_P(TransportConformanceTest, AnUnknownPeerIsRefused) {
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    Transfer transfer = {Direction::kSend, 2, 0, {}};
    return StartAndWait(transport, {transfer});
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("peer 2"));
}

TEST_P(TransportConformanceTest, AWaitWithoutAnEndRunsOutOfTime) {
  absl::Status status = GetParam()(3, [&](Transport* transport) -> absl::Status {
    if (transport->rank() != 2) return absl::OkStatus();
    Message message(Direction::kReceive, 1, 9, "?");
    return StartAndWait(transport, {message.transfer()}, kShort);
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 2 waited 20ms for rank 1"));
}

TEST_P(TransportConformanceTest, AbortWakesEverybody) {
  constexpr int kRanks = 4;
  absl::Status status = GetParam()(kRanks, [&](Transport* transport) -> absl::Status {
    int rank = transport->rank();
    // All have started, then one leaves: the others wait for messages that never come.
    Message message(Direction::kReceive, (rank + 1) % kRanks, 0, "?");
    const std::vector<Transfer> transfers = {message.transfer()};
    ASSIGN_OR_RETURN(Transport::Group group, transport->Start(transfers));
    RETURN_IF_ERROR(transport->AllGather(0, kLong).status());
    if (rank == 1) {
      transport->Abort(absl::InternalError("out of coffee"));
      return absl::InternalError("out of coffee");
    }
    // Every other rank waits in one of two ways.
    absl::Status seen =
        rank == 2 ? transport->AllGather(0, kLong).status() : transport->Wait(group, kLong);
    EXPECT_EQ(seen.code(), absl::StatusCode::kAborted) << rank;
    EXPECT_THAT(std::string(seen.message()),
                AllOf(HasSubstr("rank 1"), HasSubstr("out of coffee")));
    return seen;
  });
  EXPECT_EQ(status, absl::InternalError("out of coffee"));
}

TEST_P(TransportConformanceTest, ARankThatGoesWithOpenMessagesEndsTheGroup) {
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    Message message(Direction::kReceive, 1 - transport->rank(), 0, "?");
    const std::vector<Transfer> transfers = {message.transfer()};
    ASSIGN_OR_RETURN(Transport::Group group, transport->Start(transfers));
    return transport->rank() == 1 ? absl::OkStatus() : transport->Wait(group, kLong);
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 1"));
}

// One rank leaves at a random moment of an exchange and frees its memory at once: with asan or tsan
// this finds copies from or to memory that is gone.
TEST_P(TransportConformanceTest, ARankThatAbortsMayFreeItsMemory) {
  constexpr size_t kBytes = 1 << 16;
  for (int round = 0; round < 50; ++round) {
    absl::Status status = GetParam()(3, [&](Transport* transport) -> absl::Status {
      int rank = transport->rank();
      auto memory = std::make_unique<std::vector<char>>(4 * kBytes, 'x');
      std::vector<Bytes> runs;
      for (int i = 0; i < 4; ++i) runs.push_back({memory->data() + i * kBytes, kBytes});
      std::vector<Transfer> transfers;
      for (int i = 0; i < 2; ++i) {
        int peer = (rank + 1 + i) % 3;
        transfers.push_back({Direction::kSend, peer, 0, {&runs[i], 1}});
        transfers.push_back({Direction::kReceive, peer, 0, {&runs[2 + i], 1}});
      }
      absl::StatusOr<Transport::Group> group = transport->Start(transfers);
      if (group.ok() && rank != round % 3) return transport->Wait(*group, kLong);
      transport->Abort(absl::InternalError("gone"));
      memory.reset();
      return absl::InternalError("gone");
    });
    EXPECT_EQ(status, absl::InternalError("gone"));
  }
}

TEST_P(TransportConformanceTest, AnUnknownGroupIsRefused) {
  absl::Status status = GetParam()(1, [&](Transport* transport) -> absl::Status {
    EXPECT_EQ(transport->Wait(0, kLong).code(), absl::StatusCode::kInvalidArgument);
    ASSIGN_OR_RETURN(Transport::Group group, transport->Start({}));
    RETURN_IF_ERROR(transport->Wait(group, kLong));
    EXPECT_EQ(transport->Wait(group, kLong).code(), absl::StatusCode::kInvalidArgument);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, AfterTheEndNothingStarts) {
  absl::Status status = GetParam()(1, [&](Transport* transport) -> absl::Status {
    transport->Abort(absl::InternalError("over"));
    return StartAndWait(transport, {});
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
}

TEST_P(TransportConformanceTest, AllGatherGivesEveryRankAllValuesInRankOrder) {
  constexpr int kRanks = 5;
  absl::Status status = GetParam()(kRanks, [&](Transport* transport) -> absl::Status {
    for (uint64_t round = 0; round < 20; ++round) {
      ASSIGN_OR_RETURN(std::vector<uint64_t> values,
                       transport->AllGather(10 * round + transport->rank(), kLong));
      std::vector<uint64_t> expected;
      for (int rank = 0; rank < kRanks; ++rank) expected.push_back(10 * round + rank);
      EXPECT_EQ(values, expected);
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, AllGatherRunsOutOfTimeAndNamesWhoIsMissing) {
  absl::Status status = GetParam()(3, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 1) return absl::OkStatus();
    return transport->AllGather(0, kShort).status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("for rank 1"));
}

}  // namespace
}  // namespace flashcp

// The suite: each test is a small program of ranks that see what they have written only.

#include "tests/runtime/transport_conformance.h"

#include <chrono>
#include <functional>
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
using Direction = Message::Direction;

constexpr absl::Duration kLong = absl::Seconds(60);        // never reached by a test that passes
constexpr absl::Duration kShort = absl::Milliseconds(20);  // always reached

// A message over memory of its own, cut into runs.
class Payload {
 public:
  Payload(Direction direction, int peer, uint32_t tag, std::string data,
          std::vector<size_t> cuts = {})
      : message_({direction, peer, tag, {}}), data_(std::move(data)) {
    cuts.push_back(data_.size());
    size_t begin = 0;
    for (size_t cut : cuts) {
      message_.runs.push_back({0, begin, cut - begin});
      begin = cut;
    }
  }
  Payload(const Payload&) = delete;

  // The message as one of `buffer`.
  Message MessageOf(uint32_t buffer) const {
    Message message = message_;
    for (MessageRun& run : message.runs) run.buffer = buffer;
    return message;
  }
  int peer() const { return message_.peer; }
  char* memory() { return &data_[0]; }
  const std::string& data() const { return data_; }

 private:
  Message message_;
  std::string data_;
};

// Prepares an exchange of these payloads and starts it.
absl::StatusOr<std::unique_ptr<Exchange>> Begin(Transport* transport,
                                                const std::vector<Payload*>& payloads) {
  std::vector<Message> messages;
  std::vector<char*> bases;
  for (Payload* payload : payloads) {
    messages.push_back(payload->MessageOf(bases.size()));
    bases.push_back(payload->memory());
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare(std::move(messages)));
  RETURN_IF_ERROR(exchange->Start(bases, nullptr));
  return exchange;
}

absl::Status RunOnce(Transport* transport, const std::vector<Payload*>& payloads,
                     absl::Duration timeout = kLong) {
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, Begin(transport, payloads));
  return exchange->Wait(timeout);
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
      Payload payload(Direction::kSend, 1, 7, "hello, ranks", {5, 5, 6});
      return RunOnce(transport, {&payload});
    }
    Payload payload(Direction::kReceive, 0, 7, std::string(12, '?'), {0, 1, 9, 11});
    RETURN_IF_ERROR(RunOnce(transport, {&payload}));
    EXPECT_EQ(payload.data(), "hello, ranks");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, KnowsWhenAnExchangeWasComplete) {
  auto now = [] { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); };
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    const auto direction = transport->rank() == 0 ? Direction::kSend : Direction::kReceive;
    for (int step = 0; step < 3; ++step) {
      Payload payload(direction, 1 - transport->rank(), 7, std::string(1 << 20, '?'));
      const int64_t before = now();
      ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, Begin(transport, {&payload}));
      if (step == 1) absl::SleepFor(absl::Milliseconds(20));
      RETURN_IF_ERROR(exchange->Wait(kLong));
      EXPECT_GE(exchange->CompletedNs(), before);
      EXPECT_LE(exchange->CompletedNs(), now());
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, MessagesOfAPairMatchInOrder) {
  constexpr int kMessages = 20;
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    bool sends = transport->rank() == 0;
    std::vector<std::unique_ptr<Payload>> payloads;
    std::vector<Payload*> all;
    for (int i = 0; i < kMessages; ++i) {
      payloads.push_back(
          std::make_unique<Payload>(sends ? Direction::kSend : Direction::kReceive, sends ? 1 : 0,
                                    i, sends ? std::string(4, 'a' + i) : std::string(4, '?')));
      all.push_back(payloads.back().get());
    }
    // Exchanges of other sizes on the two sides; the receiver waits for the last one first.
    size_t step = sends ? 5 : 4;
    std::vector<std::unique_ptr<Exchange>> exchanges;
    for (size_t i = 0; i < kMessages; i += step) {
      ASSIGN_OR_RETURN(exchanges.emplace_back(),
                       Begin(transport, {all.begin() + i, all.begin() + i + step}));
    }
    while (!exchanges.empty()) {
      RETURN_IF_ERROR(exchanges.back()->Wait(kLong));
      exchanges.pop_back();
    }
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_EQ(payloads[i]->data(), std::string(4, 'a' + i)) << i;
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, ManyPeersAtOnceAgainAndAgain) {
  constexpr int kRanks = 6;
  absl::Status status = GetParam()(kRanks, [&](Transport* transport) -> absl::Status {
    for (uint32_t round = 0; round < 30; ++round) {
      std::vector<std::unique_ptr<Payload>> received;
      std::vector<std::unique_ptr<Payload>> sent;
      std::vector<Payload*> all;
      for (int peer = 0; peer < kRanks; ++peer) {
        if (peer == transport->rank()) continue;
        std::string mine = absl::StrCat(transport->rank(), ">", peer, " round ", 100 + round);
        sent.push_back(std::make_unique<Payload>(Direction::kSend, peer, round, mine));
        all.push_back(sent.back().get());
        received.push_back(std::make_unique<Payload>(Direction::kReceive, peer, round,
                                                     std::string(mine.size(), '?')));
        all.push_back(received.back().get());
      }
      RETURN_IF_ERROR(RunOnce(transport, all));
      for (const auto& payload : received) {
        EXPECT_EQ(payload->data(),
                  absl::StrCat(payload->peer(), ">", transport->rank(), " round ", 100 + round));
      }
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// As a plan's messages, which are prepared once and run on the memory of each step.
TEST_P(TransportConformanceTest, LargeMessagesOfManyRunsInNewMemory) {
  constexpr size_t kBytes = 3000000;
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    const bool sends = transport->rank() == 0;
    const size_t run_bytes = sends ? 1000 : 30000;
    Message message = {
        sends ? Direction::kSend : Direction::kReceive, 1 - transport->rank(), 0, {}};
    // Every other run is that of a second tensor.
    for (uint32_t i = 0; i < kBytes / run_bytes; ++i) {
      message.runs.push_back({i % 2, i * run_bytes, run_bytes});
    }
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare({message}));
    for (int round = 0; round < 4; ++round) {
      std::string expected;
      for (size_t i = 0; i < kBytes; ++i) expected.push_back((i / 7 + round) * 31 % 127);
      std::string data = sends ? expected : std::string(kBytes, '?');
      std::string elsewhere = data;
      char* const bases[] = {&data[0], &elsewhere[0]};
      RETURN_IF_ERROR(exchange->Start(bases, nullptr));
      RETURN_IF_ERROR(exchange->Wait(kLong));
      for (const MessageRun& run : message.runs) {
        EXPECT_EQ(std::string(bases[run.buffer] + run.offset, run.size),
                  expected.substr(run.offset, run.size));
      }
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// As rows of some heads of a tensor: blocks at a distance, in one message with bytes that lie side
// by side, and cut differently by the two sides. What lies between blocks stays.
TEST_P(TransportConformanceTest, RunsOfBlocksAtADistance) {
  constexpr size_t kBytes = 60000;
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    const bool sends = transport->rank() == 0;
    Message message = {
        sends ? Direction::kSend : Direction::kReceive, 1 - transport->rank(), 0, {}};
    if (sends) {
      message.runs = {{0, 10, 24, 1000, 32}, {1, 0, 5000}, {0, 40000, 1, 1}, {1, 6000, 7, 143, 9}};
    } else {
      message.runs = {{1, 3, 5, 4000, 11}, {0, 100, 10002, 1, 20000}};
    }
    EXPECT_EQ(PayloadBytes(message), 30002);
    auto blocks = [&](const std::function<void(uint32_t buffer, size_t begin, size_t size)>& use) {
      for (const MessageRun& run : message.runs) {
        for (uint64_t i = 0; i < run.count; ++i) {
          use(run.buffer, run.offset + i * run.stride, run.size);
        }
      }
    };
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare({message}));
    for (int round = 0; round < 3; ++round) {
      std::string payload;
      for (size_t i = 0; i < 30002; ++i) payload.push_back((i / 5 + round) * 31 % 127);
      std::string memory[] = {std::string(kBytes, '?'), std::string(kBytes, '?')};
      std::string expected[] = {memory[0], memory[1]};
      size_t done = 0;
      blocks([&](uint32_t buffer, size_t begin, size_t size) {
        (sends ? memory : expected)[buffer].replace(begin, size, payload, done, size);
        done += size;
      });
      char* const bases[] = {&memory[0][0], &memory[1][0]};
      RETURN_IF_ERROR(exchange->Start(bases, nullptr));
      RETURN_IF_ERROR(exchange->Wait(kLong));
      for (uint32_t buffer : {0, 1}) EXPECT_TRUE(sends || memory[buffer] == expected[buffer]);
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, AnExchangeCompletesOnceThePeerHasStartedWhateverItDoesNext) {
  // Rank 1 starts the receive, then waits for a message that rank 0 sends after its first.
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    bool sends = transport->rank() == 0;
    Direction direction = sends ? Direction::kSend : Direction::kReceive;
    Payload first(direction, 1 - transport->rank(), 0, sends ? "one" : "???");
    Payload second(direction, 1 - transport->rank(), 1, sends ? "two" : "???");
    if (sends) {
      RETURN_IF_ERROR(RunOnce(transport, {&first}));
      return RunOnce(transport, {&second});
    }
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> a, Begin(transport, {&first}));
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> b, Begin(transport, {&second}));
    RETURN_IF_ERROR(b->Wait(kLong));
    RETURN_IF_ERROR(a->Wait(kLong));
    EXPECT_EQ(first.data() + second.data(), "onetwo");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, EmptyMessagesAndExchanges) {
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    RETURN_IF_ERROR(RunOnce(transport, {}));
    Direction direction = transport->rank() == 0 ? Direction::kSend : Direction::kReceive;
    const int peer = 1 - transport->rank();
    ASSIGN_OR_RETURN(
        std::unique_ptr<Exchange> exchange,
        transport->Prepare({{direction, peer, 3, {{0, 0, 0}}}, {direction, peer, 4, {}}}));
    char* const bases[] = {nullptr};
    RETURN_IF_ERROR(exchange->Start(bases, nullptr));
    return exchange->Wait(kLong);
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Rank 0 sends `sent` with tag 5, rank 1 receives `received` bytes with `tag`: the first error.
absl::Status Mismatch(RankRunner runner, const std::string& sent, size_t received, uint32_t tag) {
  return runner(2, [&](Transport* transport) -> absl::Status {
    if (transport->rank() == 0) {
      Payload payload(Direction::kSend, 1, 5, sent);
      absl::Status status = RunOnce(transport, {&payload});
      // The sender may be done before the receiver has looked, but not go on.
      if (status.ok()) status = transport->AllGather(0, kLong).status();
      EXPECT_FALSE(status.ok());
      return status;
    }
    Payload payload(Direction::kReceive, 0, tag, std::string(received, '?'));
    absl::Status status = RunOnce(transport, {&payload});
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
    Payload payload(Direction::kSend, 2, 0, "");
    return RunOnce(transport, {&payload});
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("peer 2"));
}

TEST_P(TransportConformanceTest, AWaitWithoutAnEndRunsOutOfTime) {
  absl::Status status = GetParam()(3, [&](Transport* transport) -> absl::Status {
    if (transport->rank() != 2) return absl::OkStatus();
    Payload payload(Direction::kReceive, 1, 9, "?");
    return RunOnce(transport, {&payload}, kShort);
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 2 waited 20ms for rank 1"));
}

TEST_P(TransportConformanceTest, AbortWakesEverybody) {
  constexpr int kRanks = 4;
  absl::Status status = GetParam()(kRanks, [&](Transport* transport) -> absl::Status {
    int rank = transport->rank();
    // All have started, then one leaves: the others wait for messages that never come.
    Payload payload(Direction::kReceive, (rank + 1) % kRanks, 0, "?");
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, Begin(transport, {&payload}));
    RETURN_IF_ERROR(transport->AllGather(0, kLong).status());
    if (rank == 1) {
      transport->Abort(absl::InternalError("out of coffee"));
      return absl::InternalError("out of coffee");
    }
    // Every other rank waits in one of two ways.
    absl::Status seen = rank == 2 ? transport->AllGather(0, kLong).status() : exchange->Wait(kLong);
    EXPECT_EQ(seen.code(), absl::StatusCode::kAborted) << rank;
    EXPECT_THAT(std::string(seen.message()),
                AllOf(HasSubstr("rank 1"), HasSubstr("out of coffee")));
    return seen;
  });
  EXPECT_EQ(status, absl::InternalError("out of coffee"));
}

TEST_P(TransportConformanceTest, ARankThatGoesWithOpenMessagesEndsTheGroup) {
  absl::Status status = GetParam()(2, [&](Transport* transport) -> absl::Status {
    Payload payload(Direction::kReceive, 1 - transport->rank(), 0, "?");
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, Begin(transport, {&payload}));
    return transport->rank() == 1 ? absl::OkStatus() : exchange->Wait(kLong);
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
      std::vector<Message> messages;
      for (size_t i = 0; i < 2; ++i) {
        const int peer = static_cast<int>(rank + 1 + i) % 3;
        messages.push_back({Direction::kSend, peer, 0, {{0, i * kBytes, kBytes}}});
        messages.push_back({Direction::kReceive, peer, 0, {{0, (2 + i) * kBytes, kBytes}}});
      }
      ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare(messages));
      char* const bases[] = {memory->data()};
      const absl::Status started = exchange->Start(bases, nullptr);
      if (started.ok() && rank != round % 3) return exchange->Wait(kLong);
      transport->Abort(absl::InternalError("gone"));
      memory.reset();
      return absl::InternalError("gone");
    });
    EXPECT_EQ(status, absl::InternalError("gone"));
  }
}

TEST_P(TransportConformanceTest, StartsAndWaitsTakeTurns) {
  absl::Status status = GetParam()(1, [&](Transport* transport) -> absl::Status {
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare({}));
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(exchange->Wait(kLong).code(), absl::StatusCode::kInvalidArgument);
      RETURN_IF_ERROR(exchange->Start({}, nullptr));
      EXPECT_EQ(exchange->Start({}, nullptr).code(), absl::StatusCode::kInvalidArgument);
      RETURN_IF_ERROR(exchange->Wait(kLong));
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TransportConformanceTest, AfterTheEndNothingStarts) {
  absl::Status status = GetParam()(1, [&](Transport* transport) -> absl::Status {
    transport->Abort(absl::InternalError("over"));
    return RunOnce(transport, {});
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

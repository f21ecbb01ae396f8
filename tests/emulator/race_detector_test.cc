#include "tests/emulator/race_detector.h"

#include <algorithm>
#include <bitset>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/emulator/access_history.h"
#include "tests/emulator/vector_clock.h"

namespace flashcp::emulator {
namespace {

using Access = RaceDetector::Access;
using Race = RaceDetector::Race;
constexpr AccessKind kRead = AccessKind::kRead;
constexpr AccessKind kWrite = AccessKind::kWrite;
constexpr AccessKind kAtomic = AccessKind::kAtomic;

bool Conflict(AccessKind a, AccessKind b) { return a != b || a == kWrite; }

TEST(VectorClock, JoinsActorByActor) {
  VectorClock a, b;
  a.Set({0, 2}, 5);
  b.Set({0, 2}, 3);
  b.Set({0, 7}, 1);
  b.Set({4, 0}, 9);
  a.Join(b);
  EXPECT_EQ(a.Get({0, 2}), 5);
  EXPECT_EQ(a.Get({0, 7}), 1);
  EXPECT_EQ(a.Get({4, 0}), 9);
  EXPECT_EQ(a.Get({0, 8}), 0);
  EXPECT_EQ(a.Get({1, 0}), 0);
}

// Two CTAs of four threads.
class RaceDetectorTest : public ::testing::Test {
 protected:
  RaceDetectorTest() {
    detector_.StartCta(0, 4);
    detector_.StartCta(1, 4);
  }
  static Actor T(int thread, int cta = 0) {
    return {static_cast<uint16_t>(cta), static_cast<uint16_t>(thread)};
  }
  std::optional<Race> Do(Actor actor, AccessKind kind, uint64_t address, uint32_t bytes = 4) {
    const Proxy proxy = detector_.IsThread(actor) ? Proxy::kGeneric : Proxy::kAsync;
    return detector_.Check({actor, memory_, address, bytes, kind, proxy, ++line_});
  }
  bool Races(Actor actor, AccessKind kind, uint64_t address, uint32_t bytes = 4) {
    return Do(actor, kind, address, bytes).has_value();
  }
  // A barrier of some threads.
  void Meet(const std::vector<Actor>& threads) {
    for (const Actor thread : threads) detector_.Arrive(thread, kBarrier);
    detector_.Complete(kBarrier);
    for (const Actor thread : threads) detector_.Wait(thread, kBarrier);
  }

  static constexpr RaceDetector::SyncObject kBarrier = {0, 1};
  static constexpr RaceDetector::SyncObject kFull = {0, 0x100};
  static constexpr RaceDetector::SyncObject kEmpty = {0, 0x108};
  RaceDetector detector_;
  RaceDetector::Memory memory_ = RaceDetector::SharedOf(0);
  int line_ = 0;
};

TEST_F(RaceDetectorTest, UnorderedAccessesRaceUnlessBothRead) {
  for (const AccessKind first : {kRead, kWrite}) {
    for (const AccessKind second : {kRead, kWrite}) {
      const uint64_t address = 64 * ++line_;
      ASSERT_FALSE(Races(T(0), first, address));
      EXPECT_EQ(Races(T(1), second, address), first == kWrite || second == kWrite);
    }
  }
}

TEST_F(RaceDetectorTest, AThreadMayDoWhatItLikes) {
  EXPECT_FALSE(Races(T(0), kWrite, 0));
  EXPECT_FALSE(Races(T(0), kRead, 0));
  EXPECT_FALSE(Races(T(0), kWrite, 0));
}

TEST_F(RaceDetectorTest, ARaceNamesBothAccesses) {
  ASSERT_FALSE(Races(T(2), kWrite, 96, 16));
  const std::optional<Race> race = Do(T(1), kRead, 102, 4);
  ASSERT_TRUE(race.has_value());
  EXPECT_EQ(race->earlier.actor, T(2));
  EXPECT_EQ(race->earlier.line, 1);
  EXPECT_EQ(race->earlier.kind, kWrite);
  EXPECT_EQ(race->earlier.address, 102);
  EXPECT_EQ(race->earlier.bytes, 4);
  EXPECT_EQ(race->later.line, 2);
  EXPECT_FALSE(race->lacks_proxy_fence);
  EXPECT_EQ(Describe(race->earlier), "write of 4 bytes");
}

TEST_F(RaceDetectorTest, NeighbouringBytesDoNotRace) {
  ASSERT_FALSE(Races(T(0), kWrite, 0, 2));
  EXPECT_FALSE(Races(T(1), kWrite, 2, 2));
  EXPECT_TRUE(Races(T(2), kRead, 1, 1));
  EXPECT_TRUE(Races(T(2), kRead, 3, 1));
  EXPECT_FALSE(Races(T(2), kRead, 4, 1));
}

TEST_F(RaceDetectorTest, LastBytesOfLongAccessesCount) {
  ASSERT_FALSE(Races(T(0), kWrite, 4094, 4));  // Across two pages of the history.
  EXPECT_TRUE(Races(T(1), kRead, 4097, 1));
  EXPECT_FALSE(Races(T(1), kRead, 4098, 1));
}

TEST_F(RaceDetectorTest, BarriersOrder) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  Meet({T(0), T(1)});
  EXPECT_FALSE(Races(T(1), kRead, 0));
  EXPECT_TRUE(Races(T(2), kRead, 0)) << "thread 2 was not at the barrier";
  EXPECT_TRUE(Races(T(0), kWrite, 0)) << "thread 1 read after the barrier";
}

// bar.arrive: the thread goes on without learning of the others.
TEST_F(RaceDetectorTest, ArrivalAloneOrdersOneWay) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  ASSERT_FALSE(Races(T(1), kWrite, 64));
  detector_.Arrive(T(0), kBarrier);
  detector_.Arrive(T(1), kBarrier);
  detector_.Complete(kBarrier);
  detector_.Wait(T(1), kBarrier);
  EXPECT_FALSE(Races(T(1), kRead, 0));
  EXPECT_TRUE(Races(T(0), kRead, 64));
}

TEST_F(RaceDetectorTest, AWaitLearnsOfCompletedPhasesOnly) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  detector_.Arrive(T(0), kFull);
  detector_.Complete(kFull);
  ASSERT_FALSE(Races(T(0), kWrite, 64));
  detector_.Arrive(T(0), kFull);  // Of the next phase, which is not complete.
  detector_.Wait(T(1), kFull);
  EXPECT_FALSE(Races(T(1), kRead, 0));
  EXPECT_TRUE(Races(T(1), kRead, 64));
  detector_.Complete(kFull);
  detector_.Wait(T(2), kFull);
  EXPECT_FALSE(Races(T(2), kRead, 64));
}

TEST_F(RaceDetectorTest, WhatFollowsAnArrivalIsNotOrdered) {
  detector_.Arrive(T(0), kFull);
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  detector_.Complete(kFull);
  detector_.Wait(T(1), kFull);
  EXPECT_TRUE(Races(T(1), kRead, 0));
}

TEST_F(RaceDetectorTest, WarpSyncOrdersItsThreads) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  detector_.Synchronize(std::vector<Actor>{T(0), T(1)});
  EXPECT_FALSE(Races(T(1), kWrite, 0));
  EXPECT_TRUE(Races(T(0), kRead, 0));
}

TEST_F(RaceDetectorTest, AtomicsRaceWithPlainAccessesOnly) {
  ASSERT_FALSE(Races(T(0), kAtomic, 0));
  EXPECT_FALSE(Races(T(1), kAtomic, 0));
  EXPECT_TRUE(Races(T(2), kRead, 0));
  EXPECT_TRUE(Races(T(2), kWrite, 0));
}

// The init of an mbarrier must be ordered before each arrival, also after others.
TEST_F(RaceDetectorTest, AtomicsDoNotHideAnEarlierWrite) {
  ASSERT_FALSE(Races(T(0), kWrite, 0, 8));
  Meet({T(0), T(1)});
  ASSERT_FALSE(Races(T(1), kAtomic, 0, 8));
  EXPECT_TRUE(Races(T(2), kAtomic, 0, 8));
}

class Atomics : public RaceDetectorTest {
 protected:
  Atomics() { memory_ = RaceDetector::kGlobal; }
  void Flag(Actor actor, AtomicKind kind, MemoryOrder order) {
    const Access access = {actor, memory_, 0x1000, 4, kAtomic, Proxy::kGeneric, ++line_};
    ASSERT_FALSE(detector_.CheckAtomic(access, kind, order).has_value());
  }
};

TEST_F(Atomics, ReleaseAndAcquireOrderCtas) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  Flag(T(0), AtomicKind::kStore, MemoryOrder::kRelease);
  ASSERT_FALSE(Races(T(0), kWrite, 64));
  Flag(T(3, 1), AtomicKind::kLoad, MemoryOrder::kAcquire);
  EXPECT_FALSE(Races(T(3, 1), kRead, 0));
  EXPECT_TRUE(Races(T(3, 1), kRead, 64)) << "written after the release";
  EXPECT_TRUE(Races(T(2, 1), kRead, 0)) << "thread 2 has not acquired";
}

TEST_F(Atomics, RelaxedOnesOrderBetweenFencesOnly) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  Flag(T(0), AtomicKind::kReadModifyWrite, MemoryOrder::kRelaxed);
  Flag(T(0, 1), AtomicKind::kLoad, MemoryOrder::kRelaxed);
  detector_.Fence(T(0, 1));
  EXPECT_TRUE(Races(T(0, 1), kRead, 0)) << "no fence before the store";
  detector_.Fence(T(0));
  Flag(T(0), AtomicKind::kReadModifyWrite, MemoryOrder::kRelaxed);
  Flag(T(1, 1), AtomicKind::kLoad, MemoryOrder::kRelaxed);
  EXPECT_TRUE(Races(T(1, 1), kRead, 0)) << "no fence after the load";
  detector_.Fence(T(1, 1));
  EXPECT_FALSE(Races(T(1, 1), kRead, 0));
}

// A fence of one thread after a barrier covers what others wrote before it.
TEST_F(Atomics, FencesAreCumulative) {
  ASSERT_FALSE(Races(T(1), kWrite, 0));
  Meet({T(0), T(1)});
  detector_.Fence(T(0));
  Flag(T(0), AtomicKind::kReduce, MemoryOrder::kRelaxed);
  Flag(T(0, 1), AtomicKind::kLoad, MemoryOrder::kAcquire);
  EXPECT_FALSE(Races(T(0, 1), kRead, 0));
}

TEST_F(Atomics, CountersPassOnWhatEarlierCountersPublished) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  Flag(T(0), AtomicKind::kReduce, MemoryOrder::kRelease);
  ASSERT_FALSE(Races(T(1), kWrite, 64));
  Flag(T(1), AtomicKind::kReduce, MemoryOrder::kRelease);
  Flag(T(0, 1), AtomicKind::kLoad, MemoryOrder::kAcquire);
  EXPECT_FALSE(Races(T(0, 1), kRead, 0));
  EXPECT_FALSE(Races(T(0, 1), kRead, 64));
}

TEST_F(Atomics, AStoreEndsWhatEarlierOnesPublished) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  Flag(T(0), AtomicKind::kStore, MemoryOrder::kRelease);
  Flag(T(1), AtomicKind::kStore, MemoryOrder::kRelaxed);
  Flag(T(0, 1), AtomicKind::kLoad, MemoryOrder::kAcquire);
  EXPECT_TRUE(Races(T(0, 1), kRead, 0));
}

TEST_F(Atomics, ReductionsAcquireNothing) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  Flag(T(0), AtomicKind::kStore, MemoryOrder::kRelease);
  Flag(T(0, 1), AtomicKind::kReduce, MemoryOrder::kAcquireRelease);
  EXPECT_TRUE(Races(T(0, 1), kRead, 0));
}

TEST_F(RaceDetectorTest, GlobalMemoryOutlivesACta) {
  memory_ = RaceDetector::kGlobal;
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  const Actor copy = detector_.Fork(std::vector<Actor>{T(1)});
  ASSERT_FALSE(Races(copy, kWrite, 64));
  detector_.EndCta(0);
  EXPECT_TRUE(Races(T(0, 1), kRead, 0));
  const std::optional<Race> race = Do(T(0, 1), kRead, 64);
  ASSERT_TRUE(race.has_value());
  EXPECT_EQ(detector_.StartedBy(race->earlier.actor), T(1));
}

TEST_F(RaceDetectorTest, SharedMemoryDoesNot) {
  ASSERT_FALSE(Races(T(0), kWrite, 0));
  detector_.EndCta(0);
  detector_.StartCta(0, 4);
  EXPECT_FALSE(Races(T(1), kRead, 0));
}

// A load by TMA: its bytes are not to be touched until a wait at its mbarrier.
TEST_F(RaceDetectorTest, CopiesEndAtTheirBarrier) {
  const Actor copy = detector_.Fork(std::vector<Actor>{T(0)});
  ASSERT_FALSE(Races(copy, kWrite, 0, 128));
  EXPECT_TRUE(Races(T(0), kRead, 0)) << "not even by the thread that started it";
  detector_.Arrive(copy, kFull);
  EXPECT_TRUE(Races(T(1), kRead, 64)) << "not before the wait";
  detector_.Complete(kFull);
  detector_.Wait(T(1), kFull);
  EXPECT_FALSE(Races(T(1), kRead, 64));
}

// The next copy into a buffer must know of those who read the last.
TEST_F(RaceDetectorTest, BuffersAreReleasedByTheirReaders) {
  const Actor first = detector_.Fork(std::vector<Actor>{T(0)});
  ASSERT_FALSE(Races(first, kWrite, 0));
  detector_.Arrive(first, kFull);
  detector_.Complete(kFull);
  for (int reader : {1, 2}) {
    detector_.Wait(T(reader), kFull);
    ASSERT_FALSE(Races(T(reader), kRead, 0));
  }
  detector_.Arrive(T(1), kEmpty);  // Reader 2 does not arrive.
  detector_.Complete(kEmpty);
  detector_.Wait(T(0), kEmpty);
  const Actor second = detector_.Fork(std::vector<Actor>{T(0)});
  const std::optional<Race> race = Do(second, kWrite, 0);
  ASSERT_TRUE(race.has_value());
  EXPECT_EQ(race->earlier.actor, T(2));
}

// A product reads until its warp waits for it: releasing its operand before is a race.
TEST_F(RaceDetectorTest, ProductsReadUntilTheirWait) {
  const std::vector<Actor> warp = {T(1), T(2)};
  for (const bool waits : {true, false}) {
    const uint64_t address = waits ? 0 : 1024;
    const Actor product = detector_.Fork(warp);
    ASSERT_FALSE(Races(product, kRead, address, 16));
    if (waits) detector_.Join(warp, product);
    detector_.Arrive(T(1), kEmpty);
    detector_.Complete(kEmpty);
    detector_.Wait(T(0), kEmpty);
    const Actor copy = detector_.Fork(std::vector<Actor>{T(0)});
    EXPECT_EQ(Races(copy, kWrite, address, 16), !waits);
  }
}

TEST_F(RaceDetectorTest, FurtherProductsOfAGroupFollowTheirWarp) {
  const std::vector<Actor> warp = {T(1)};
  const Actor group = detector_.Fork(warp);
  ASSERT_FALSE(Races(group, kRead, 0));
  const Actor copy = detector_.Fork(std::vector<Actor>{T(0)});
  ASSERT_FALSE(Races(copy, kWrite, 64));
  detector_.Arrive(copy, kFull);
  detector_.Complete(kFull);
  detector_.Wait(T(1), kFull);
  detector_.Follow(group, warp);
  EXPECT_FALSE(Races(group, kRead, 64));
}

TEST_F(RaceDetectorTest, GenericWritesNeedAProxyFenceOfTheWriter) {
  enum { kNone, kByWriter, kByReader, kOfOtherSpace, kBeforeTheWrite };
  for (const int fence : {kNone, kByWriter, kByReader, kOfOtherSpace, kBeforeTheWrite}) {
    const uint64_t address = 64 * fence;
    if (fence == kBeforeTheWrite) detector_.ProxyFence(T(1), FenceSpace::kAll);
    ASSERT_FALSE(Races(T(1), kWrite, address));
    if (fence == kByWriter) detector_.ProxyFence(T(1), FenceSpace::kShared);
    if (fence == kOfOtherSpace) detector_.ProxyFence(T(1), FenceSpace::kGlobal);
    Meet({T(0), T(1)});
    if (fence == kByReader) detector_.ProxyFence(T(0), FenceSpace::kAll);
    const Actor copy = detector_.Fork(std::vector<Actor>{T(0)});
    const std::optional<Race> race = Do(copy, kRead, address);
    EXPECT_EQ(race.has_value(), fence != kByWriter) << fence;
    EXPECT_TRUE(!race.has_value() || race->lacks_proxy_fence);
  }
}

TEST_F(RaceDetectorTest, GenericReadsNeedNoProxyFence) {
  ASSERT_FALSE(Races(T(1), kRead, 0));
  Meet({T(0), T(1)});
  const Actor copy = detector_.Fork(std::vector<Actor>{T(0)});
  EXPECT_FALSE(Races(copy, kWrite, 0));
}

// cp.async is asynchronous, but of the generic proxy.
TEST_F(RaceDetectorTest, OperationsOfTheGenericProxy) {
  const Actor copy = detector_.Fork(std::vector<Actor>{T(1)});
  ASSERT_FALSE(detector_.Check({copy, memory_, 0, 16, kWrite, Proxy::kGeneric, 1}).has_value());
  EXPECT_TRUE(Races(T(1), kRead, 0));
  detector_.Join(std::vector<Actor>{T(1)}, copy);
  EXPECT_FALSE(Races(T(1), kRead, 0));
}

TEST_F(RaceDetectorTest, ConcurrentOperationsRaceWithEachOther) {
  const Actor first = detector_.Fork(std::vector<Actor>{T(0)});
  ASSERT_FALSE(Races(first, kWrite, 0));
  const Actor second = detector_.Fork(std::vector<Actor>{T(0)});
  EXPECT_TRUE(Races(second, kWrite, 0));
}

// Operations reuse clocks once their successors know of their end, not before.
TEST_F(RaceDetectorTest, ClocksStayShort) {
  std::set<int> indices;
  const std::vector<Actor> thread = {T(0)};
  for (int i = 0; i < 100; ++i) {
    const Actor operation = detector_.Fork(thread);
    indices.insert(operation.index);
    ASSERT_FALSE(Races(operation, kWrite, 0));
    detector_.Join(thread, operation);
  }
  EXPECT_EQ(indices.size(), 1);
  const Actor ended = detector_.Fork(thread);
  detector_.Arrive(ended, kFull);
  EXPECT_NE(detector_.Fork(thread).index, ended.index) << "the thread has not waited";
}

// Random programs of threads and operations, whose order is kept as a graph: each event knows the
// set of all events before it.
class RandomProgram {
 public:
  explicit RandomProgram(int seed) : random_(seed) { detector_.StartCta(0, kThreads); }

  // Runs until the first race, or some steps.
  void Run() {
    for (int step = 0; step < 300; ++step) {
      const int choice = random_() % 16;
      if (choice < 8) {
        if (!DoAccess()) return;
      } else if (choice < 10) {
        Arrive(AnyActor());
      } else if (choice < 11) {
        Complete();
      } else if (choice < 13) {
        Wait();
      } else if (choice < 14) {
        ProxyFence();
      } else if (choice < 15) {
        Fork();
      } else {
        Join();
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
  }

 private:
  static constexpr int kThreads = 3, kMaxEvents = 1024;
  using Past = std::bitset<kMaxEvents>;
  struct Event {
    int actor;
    Past before;
    bool is_fence;
  };
  struct Done {
    int event;
    uint64_t begin, end;
    AccessKind kind;
    Proxy proxy;
  };

  int AnyThread() { return random_() % kThreads; }
  int AnyActor() {
    return operations_.empty() || random_() % 2 == 0
               ? AnyThread()
               : std::next(operations_.begin(), random_() % operations_.size())->first;
  }
  Actor ActorOf(int id) {
    return id < kThreads ? Actor{0, static_cast<uint16_t>(id)} : operations_.at(id);
  }
  // Adds an event after the last of its actor.
  int Add(int actor, bool is_fence = false) {
    events_.push_back({actor, past_[actor], is_fence});
    const int event = events_.size() - 1;
    past_[actor].set(event);
    return event;
  }

  bool IsFenced(const Done& done, const Past& past) const {
    for (size_t e = done.event; e < events_.size(); ++e) {
      if (past[e] && events_[e].is_fence && events_[e].actor == events_[done.event].actor) {
        return true;
      }
    }
    return false;
  }

  // Whether a byte of the range is as this access left it: later ones do not cover it.
  bool ShowsIn(size_t access, uint64_t begin, uint64_t end) const {
    const Done& done = done_[access];
    for (uint64_t byte = std::max(begin, done.begin); byte < std::min(end, done.end); ++byte) {
      bool covered = false;
      for (size_t i = access + 1; i < done_.size(); ++i) {
        const Done& other = done_[i];
        covered |= byte >= other.begin && byte < other.end &&
                   (other.kind == kWrite || other.kind == done.kind) &&
                   events_[other.event].before[done.event];
      }
      if (!covered) return true;
    }
    return false;
  }

  bool DoAccess() {
    const int id = AnyActor();
    const uint64_t begin = random_() % 24, end = begin + 1 + random_() % 6;
    const AccessKind kind = static_cast<AccessKind>(random_() % 3);
    const Proxy proxy = id < kThreads ? Proxy::kGeneric : Proxy::kAsync;
    const int event = Add(id);
    const Past& past = events_[event].before;
    std::set<int> racing, unfenced;  // Lines.
    for (size_t i = 0; i < done_.size(); ++i) {
      const Done& other = done_[i];
      if (other.begin >= end || begin >= other.end || !Conflict(other.kind, kind)) continue;
      if (!past[other.event]) {
        racing.insert(i);
      } else if (other.proxy == Proxy::kGeneric && proxy == Proxy::kAsync && other.kind != kRead &&
                 !IsFenced(other, past) && ShowsIn(i, begin, end)) {
        unfenced.insert(i);
      }
    }
    const std::optional<Race> race = detector_.Check({ActorOf(id), RaceDetector::SharedOf(0), begin,
                                                      static_cast<uint32_t>(end - begin), kind,
                                                      proxy, static_cast<int>(done_.size())});
    Expect(race, racing, unfenced);
    done_.push_back({event, begin, end, kind, proxy});
    return !race.has_value() && !::testing::Test::HasFatalFailure();
  }

  static void Expect(const std::optional<Race>& race, const std::set<int>& racing,
                     const std::set<int>& unfenced) {
    ASSERT_EQ(race.has_value(), !racing.empty() || !unfenced.empty());
    if (!race.has_value()) return;
    const std::set<int>& lines = race->lacks_proxy_fence ? unfenced : racing;
    ASSERT_EQ(lines.count(race->earlier.line), 1);
  }

  void Arrive(int id) {
    arrived_ |= past_[id];
    detector_.Arrive(ActorOf(id), {0, 7});
    if (id >= kThreads) operations_.erase(id);
  }
  void Complete() {
    completed_ |= arrived_;
    detector_.Complete({0, 7});
  }
  void Wait() {
    const int id = AnyThread();
    past_[id] |= completed_;
    detector_.Wait(ActorOf(id), {0, 7});
  }
  void ProxyFence() {
    const int id = AnyThread();
    Add(id, /*is_fence=*/true);
    detector_.ProxyFence(ActorOf(id), FenceSpace::kShared);
  }
  void Fork() {
    const int thread = AnyThread(), id = next_operation_++;
    past_[id] = past_[thread];
    operations_[id] = detector_.Fork(std::vector<Actor>{ActorOf(thread)});
  }
  void Join() {
    if (operations_.empty()) return;
    const auto [id, operation] = *operations_.begin();
    const int thread = AnyThread();
    past_[thread] |= past_[id];
    detector_.Join(std::vector<Actor>{ActorOf(thread)}, operation);
    operations_.erase(id);
  }

  RaceDetector detector_;
  std::mt19937 random_;
  std::vector<Event> events_;
  std::map<int, Past> past_;  // Of each actor, with its own events.
  std::map<int, Actor> operations_;
  int next_operation_ = kThreads;
  Past arrived_, completed_;
  std::vector<Done> done_;
};

TEST(RaceDetector, AgreesWithTheGraphOfRandomPrograms) {
  for (int seed = 0; seed < 20000; ++seed) {
    SCOPED_TRACE(seed);
    RandomProgram(seed).Run();
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace flashcp::emulator

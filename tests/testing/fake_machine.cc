// The state of the machine is under one lock; kernels are computed without it, by the one thread
// that does all work.

#include "tests/testing/fake_machine.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "runtime/cpu/cpu_device.h"
#include "support/status_macros.h"
#include "tests/testing/launch_accesses.h"

namespace flashcp::testing {
namespace {

using Lock = std::unique_lock<std::mutex>;

void Poison(char* data, size_t size) { std::memset(data, 0xff, size); }  // NaN in every type

// How often an event has been recorded, and which record is done.
struct EventState {
  uint64_t recorded = 0;
  uint64_t done = 0;
  RaceCheck::Clock clock = {};
};

// An exchange that was started.
struct Run;
struct Half {
  const Message* message;
  Run* run;
};
struct Run {
  int rank;
  std::shared_ptr<const std::vector<Message>> messages;
  std::vector<char*> bases;
  std::vector<Half> halves;
  size_t left;  // messages that have not been copied
  std::shared_ptr<int> open;
};

struct Op {
  enum class Kind { kWork, kExchange, kRecord, kWait, kStop };
  Kind kind;
  std::function<void()> begin, finish;  // of work
  std::shared_ptr<EventState> event;
  uint64_t version = 0;      // of the record, done or waited for
  std::shared_ptr<Run> run;  // of an exchange
  bool fails = false;
  bool begun = false;
};

struct Queue {
  int rank;
  std::deque<Op> ops;
};

// The bytes of a payload, one after the other.
template <typename Visit>
void VisitRuns(const Half& half, const Visit& visit) {
  for (const MessageRun& run : half.message->runs) {
    for (uint64_t block = 0; block < run.count; ++block) {
      visit(half.run->bases[run.buffer] + run.offset + block * run.stride, run.size);
    }
  }
}

std::string Describe(const Half& half) {
  const Message& message = *half.message;
  return DescribeMessage(message.direction, half.run->rank, message.peer, PayloadBytes(message),
                         message.tag);
}

}  // namespace

class FakeMachine::State {
 public:
  State(int ranks, const Options& options)
      : options_(options), held_(options.held), random_(options.seed), ranks_(ranks) {
    thread_ = std::thread([this] { Loop(); });
  }

  // Who enqueues and asks.
  Queue* AddQueue(int rank, int* race_stream) {
    Lock lock(mutex_);
    *race_stream = ranks_[rank].race.AddStream();
    queues_.push_back(std::make_unique<Queue>(Queue{rank, {}}));
    return queues_.back().get();
  }
  void Enqueue(Queue* queue, Op op) {
    Lock lock(mutex_);
    queue->ops.push_back(std::move(op));
    changed_.notify_all();
  }
  absl::Status Record(int rank, Queue* queue, int race_stream,
                      const std::shared_ptr<EventState>& event);
  absl::Status Wait(int rank, Queue* queue, int race_stream,
                    const std::shared_ptr<EventState>& event);
  absl::StatusOr<bool> Poll(int rank, const EventState& event) {
    Lock lock(mutex_);
    if (ranks_[rank].failed) return absl::InternalError("the device is on fire");
    return event.done >= event.recorded;
  }
  bool NextLaunchFails(int rank) {
    return rank == options_.sabotage.rank &&
           ranks_[rank].launches++ == options_.sabotage.fail_launch;
  }
  RaceCheck& race(int rank) { return ranks_[rank].race; }
  const RaceCheck& race(int rank) const { return ranks_[rank].race; }
  int num_records(int rank) const { return ranks_[rank].records; }
  int num_waits(int rank) const { return ranks_[rank].waits; }
  int size() const { return ranks_.size(); }
  bool gathers() const { return options_.gathers; }

  absl::Status end() {
    Lock lock(mutex_);
    return end_;
  }
  void End(const absl::Status& reason) {
    Lock lock(mutex_);
    EndLocked(reason);
  }
  absl::Status Start(Queue* queue, const std::shared_ptr<Run>& run);
  void Drop(int rank, const std::shared_ptr<int>& open) {
    Lock lock(mutex_);
    if (*open == 0) return;
    EndLocked(absl::AbortedError(
        absl::StrCat("ended by rank ", rank, ": it left before its messages had completed")));
  }
  absl::StatusOr<std::vector<uint64_t>> AllGather(int rank, uint64_t value, absl::Duration timeout);

  // Who runs the machine.
  void Release() {
    Lock lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  void AwaitIdle() {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return !busy_ && Choices().empty(); });
  }
  void Stop() {
    {
      Lock lock(mutex_);
      stop_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Rank {
    RaceCheck race;  // this and the counts are of the rank's thread
    int records = 0, waits = 0, launches = 0;
    bool failed = false;
    absl::optional<uint64_t> gathering;
  };

  void EndLocked(const absl::Status& reason) {
    if (end_.ok()) end_ = reason;
    changed_.notify_all();
  }
  bool CanRun(const Queue& queue) const;
  std::vector<size_t> Choices() const;
  void Loop();
  void StepQueue(Lock* lock, Queue* queue);
  void Begin(const std::shared_ptr<Run>& run);
  void Post(Half* half);
  void CopyMatched(size_t index);

  const Options options_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool held_;
  bool stop_ = false;
  bool busy_ = false;  // computes, without the lock
  std::mt19937_64 random_;
  std::vector<Rank> ranks_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::map<std::pair<int, int>, std::deque<Half*>> waiting_;  // by sender and receiver
  std::vector<std::pair<Half*, Half*>> matched_;              // send, receive
  std::vector<std::shared_ptr<Run>> runs_;                    // begun, kept until the end
  absl::Status end_;
  std::vector<uint64_t> gathered_;
  uint64_t num_gathered_ = 0;
  std::thread thread_;
};

absl::Status FakeMachine::State::Record(int rank, Queue* queue, int race_stream,
                                        const std::shared_ptr<EventState>& event) {
  const Sabotage& sabotage = options_.sabotage;
  const int index = ranks_[rank].records++;
  Lock lock(mutex_);
  if (rank == sabotage.rank && index == sabotage.stop_at_record) {
    queue->ops.push_back({Op::Kind::kStop, {}, {}, nullptr});
  }
  if (rank == sabotage.rank && index == sabotage.skip_record) return absl::OkStatus();
  event->clock = ranks_[rank].race.Record(race_stream);
  queue->ops.push_back({Op::Kind::kRecord, {}, {}, event, ++event->recorded});
  changed_.notify_all();
  return absl::OkStatus();
}

absl::Status FakeMachine::State::Wait(int rank, Queue* queue, int race_stream,
                                      const std::shared_ptr<EventState>& event) {
  const int index = ranks_[rank].waits++;
  if (rank == options_.sabotage.rank && index == options_.sabotage.skip_wait) {
    return absl::OkStatus();
  }
  Lock lock(mutex_);
  ranks_[rank].race.Wait(race_stream, event->clock);
  queue->ops.push_back({Op::Kind::kWait, {}, {}, event, event->recorded});
  changed_.notify_all();
  return absl::OkStatus();
}

absl::Status FakeMachine::State::Start(Queue* queue, const std::shared_ptr<Run>& run) {
  Lock lock(mutex_);
  if (!end_.ok()) return end_;
  ++*run->open;
  queue->ops.push_back({Op::Kind::kExchange, {}, {}, nullptr, 0, run});
  changed_.notify_all();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> FakeMachine::State::AllGather(int rank, uint64_t value,
                                                                    absl::Duration timeout) {
  Lock lock(mutex_);
  const uint64_t number = num_gathered_;
  ranks_[rank].gathering = value;
  auto missing = [&] {
    return std::find_if(ranks_.begin(), ranks_.end(),
                        [](const Rank& other) { return !other.gathering; });
  };
  if (missing() == ranks_.end()) {
    gathered_.clear();
    for (Rank& other : ranks_) gathered_.push_back(*std::exchange(other.gathering, absl::nullopt));
    ++num_gathered_;
    changed_.notify_all();
  }
  const auto deadline = std::chrono::steady_clock::now() +
                        absl::ToChronoNanoseconds(std::min(timeout, absl::Hours(1)));
  auto over = [&] { return num_gathered_ != number || !end_.ok(); };
  if (!changed_.wait_until(lock, deadline, over)) {
    EndLocked(absl::DeadlineExceededError(
        absl::StrCat("rank ", rank, " waited ", absl::FormatDuration(timeout), " for rank ",
                     missing() - ranks_.begin(), " to join an all-gather")));
  }
  if (num_gathered_ == number) return end_;
  return gathered_;
}

bool FakeMachine::State::CanRun(const Queue& queue) const {
  if (queue.ops.empty() || ranks_[queue.rank].failed) return false;
  const Op& op = queue.ops.front();
  switch (op.kind) {
    case Op::Kind::kStop:
      return false;
    case Op::Kind::kWait:
      return op.event->done >= op.version;
    case Op::Kind::kExchange:
      return !op.begun || op.run->left == 0 || !end_.ok();
    default:
      return true;
  }
}

// What may come next: streams by number, then matched messages.
std::vector<size_t> FakeMachine::State::Choices() const {
  std::vector<size_t> choices;
  if (held_ || stop_) return choices;
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (CanRun(*queues_[i])) choices.push_back(i);
  }
  for (size_t i = 0; end_.ok() && i < matched_.size(); ++i) choices.push_back(queues_.size() + i);
  return choices;
}

void FakeMachine::State::Loop() {
  Lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !Choices().empty(); });
    if (stop_) return;
    const std::vector<size_t> choices = Choices();
    const size_t chosen = choices[random_() % choices.size()];
    if (chosen < queues_.size()) {
      StepQueue(&lock, queues_[chosen].get());
    } else {
      CopyMatched(chosen - queues_.size());
    }
    changed_.notify_all();
  }
}

void FakeMachine::State::StepQueue(Lock* lock, Queue* queue) {
  Op& op = queue->ops.front();
  if (op.kind == Op::Kind::kRecord) op.event->done = op.version;
  if (op.kind == Op::Kind::kExchange && !std::exchange(op.begun, true)) return Begin(op.run);
  if (op.kind == Op::Kind::kExchange) --*op.run->open;
  if (op.kind == Op::Kind::kWork) {
    const bool begins = !std::exchange(op.begun, true);
    if (!begins && op.fails) ranks_[queue->rank].failed = true;
    const std::function<void()> call = op.fails ? [] {} : begins ? op.begin : op.finish;
    busy_ = true;
    lock->unlock();
    call();
    lock->lock();
    busy_ = false;
    if (begins) return;
  }
  queue->ops.pop_front();
}

// Begins an exchange: what it will receive is no longer what it was.
void FakeMachine::State::Begin(const std::shared_ptr<Run>& run) {
  if (!end_.ok()) return;
  runs_.push_back(run);
  for (Half& half : run->halves) {
    if (half.message->direction == Message::Direction::kReceive) VisitRuns(half, Poison);
    Post(&half);
  }
}

// Matches a message with the first of the peer that waits for it, or lets it wait.
void FakeMachine::State::Post(Half* half) {
  const Message& message = *half->message;
  const bool sends = message.direction == Message::Direction::kSend;
  const auto pair =
      sends ? std::pair(half->run->rank, message.peer) : std::pair(message.peer, half->run->rank);
  std::deque<Half*>& waiting = waiting_[pair];
  if (waiting.empty() || waiting.front()->message->direction == message.direction) {
    waiting.push_back(half);
    return;
  }
  Half* const match = waiting.front();
  waiting.pop_front();
  Half* const send = sends ? half : match;
  Half* const receive = sends ? match : half;
  if (PayloadBytes(*send->message) != PayloadBytes(*receive->message) ||
      send->message->tag != receive->message->tag) {
    return EndLocked(absl::InvalidArgumentError(
        absl::StrCat("message mismatch: ", Describe(*send), ", but ", Describe(*receive))));
  }
  matched_.emplace_back(send, receive);
}

void FakeMachine::State::CopyMatched(size_t index) {
  const auto [send, receive] = matched_[index];
  matched_.erase(matched_.begin() + index);
  std::string payload;
  VisitRuns(*send, [&](const char* data, size_t size) { payload.append(data, size); });
  const char* next = payload.data();
  VisitRuns(*receive, [&](char* data, size_t size) {
    if (size > 0) std::memcpy(data, next, size);
    next += size;
  });
  --send->run->left;
  --receive->run->left;
}

namespace {

using State = std::shared_ptr<FakeMachine::State>;

class FakeEvent : public Event {
 public:
  FakeEvent(State state, int rank) : state_(std::move(state)), rank_(rank) {}
  absl::StatusOr<bool> Poll() const override { return state_->Poll(rank_, *event); }

  const std::shared_ptr<EventState> event = std::make_shared<EventState>();

 private:
  const State state_;
  const int rank_;
};

class FakeStream : public Stream {
 public:
  FakeStream(State state, int rank) : state_(std::move(state)), rank_(rank) {
    queue_ = state_->AddQueue(rank, &race_stream_);
  }
  absl::Status Record(Event* event) override {
    return state_->Record(rank_, queue_, race_stream_, static_cast<FakeEvent*>(event)->event);
  }
  absl::Status Wait(const Event& event) override {
    return state_->Wait(rank_, queue_, race_stream_, static_cast<const FakeEvent&>(event).event);
  }
  void Work(const std::string& what, const std::vector<RaceCheck::Access>& accesses,
            std::function<void()> begin, std::function<void()> finish, bool fails = false) {
    state_->race(rank_).Work(race_stream_, what, accesses);
    Op op = {Op::Kind::kWork, std::move(begin), std::move(finish), nullptr};
    op.fails = fails;
    state_->Enqueue(queue_, std::move(op));
  }
  absl::Status Start(const std::shared_ptr<Run>& run) {
    std::vector<RaceCheck::Access> accesses;
    for (const Half& half : run->halves) {
      const bool write = half.message->direction == Message::Direction::kReceive;
      VisitRuns(half, [&](char* data, size_t size) { accesses.push_back({data, size, write}); });
    }
    state_->race(rank_).Work(race_stream_, "exchange", accesses);
    return state_->Start(queue_, run);
  }

 private:
  const State state_;
  const int rank_;
  int race_stream_ = 0;
  Queue* queue_;
};

// What tables need, kept until the last launch is done.
struct CpuSide {
  std::shared_ptr<Device> device;
  std::shared_ptr<AttentionKernels> kernels;
  std::unique_ptr<DeviceTables> tables;
};

class FakeTables : public DeviceTables {
 public:
  FakeTables(State state, int rank, const KernelSpec& spec, LaunchTables tables, CpuSide cpu)
      : state_(std::move(state)),
        rank_(rank),
        spec_(spec),
        tables_(std::move(tables)),
        cpu_(std::make_shared<CpuSide>(std::move(cpu))) {}

  absl::Status Enqueue(const Launch& launch, BufferBases bases, Stream* stream) override {
    std::vector<RaceCheck::Access> accesses = AccessesOf(launch, tables_, spec_, bases);
    const bool sets = launch.kind == Launch::Kind::kCopy || launch.kind == Launch::Kind::kRound ||
                      launch.kind == Launch::Kind::kClear ||
                      launch.kind == Launch::Kind::kSumProducts;
    auto begin = [accesses, sets] {
      for (const RaceCheck::Access& access : accesses) {
        if (sets && access.write) Poison(const_cast<char*>(access.data), access.size);
      }
    };
    std::vector<char*> kept(bases.begin(), bases.end());
    auto finish = [cpu = cpu_, launch, kept = std::move(kept)] {
      cpu->tables->Enqueue(launch, kept, nullptr).IgnoreError();
    };
    static_cast<FakeStream*>(stream)->Work(absl::StrCat("launch ", static_cast<int>(launch.kind)),
                                           accesses, begin, finish, state_->NextLaunchFails(rank_));
    return absl::OkStatus();
  }

 private:
  const State state_;
  const int rank_;
  const KernelSpec spec_;
  const LaunchTables tables_;
  const std::shared_ptr<CpuSide> cpu_;
};

class FakeKernels : public AttentionKernels {
 public:
  FakeKernels(State state, int rank, const KernelSpec& spec, std::shared_ptr<Device> cpu,
              std::shared_ptr<AttentionKernels> kernels)
      : state_(std::move(state)),
        rank_(rank),
        spec_(spec),
        cpu_(std::move(cpu)),
        kernels_(std::move(kernels)) {}
  absl::string_view name() const override { return kernels_->name(); }
  absl::StatusOr<std::unique_ptr<DeviceTables>> Upload(LaunchTables tables) override {
    ASSIGN_OR_RETURN(std::unique_ptr<DeviceTables> on_cpu, kernels_->Upload(tables));
    return std::make_unique<FakeTables>(state_, rank_, spec_, std::move(tables),
                                        CpuSide{cpu_, kernels_, std::move(on_cpu)});
  }

 private:
  const State state_;
  const int rank_;
  const KernelSpec spec_;
  const std::shared_ptr<Device> cpu_;
  const std::shared_ptr<AttentionKernels> kernels_;
};

class FakeDevice : public Device {
 public:
  FakeDevice(State state, int rank) : state_(std::move(state)), rank_(rank) {}
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override { return cpu_->Allocate(bytes); }
  absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) override {
    ASSIGN_OR_RETURN(std::shared_ptr<AttentionKernels> kernels, cpu_->FindKernels(spec));
    return std::make_shared<FakeKernels>(state_, rank_, spec, cpu_, std::move(kernels));
  }
  bool has_streams() const override { return true; }
  absl::StatusOr<std::unique_ptr<Stream>> NewStream(StreamPriority) override {
    return std::make_unique<FakeStream>(state_, rank_);
  }
  absl::StatusOr<std::unique_ptr<Event>> NewEvent() override {
    return std::make_unique<FakeEvent>(state_, rank_);
  }

 private:
  const State state_;
  const int rank_;
  const std::shared_ptr<Device> cpu_ = CreateCpuDevice();
};

class FakeExchange : public Exchange {
 public:
  FakeExchange(State state, int rank, std::vector<Message> messages)
      : state_(std::move(state)),
        rank_(rank),
        messages_(std::make_shared<const std::vector<Message>>(std::move(messages))) {}
  ~FakeExchange() override { state_->Drop(rank_, open_); }

  absl::Status Start(BufferBases bases, Stream* stream) override {
    auto run = std::make_shared<Run>(
        Run{rank_, messages_, {bases.begin(), bases.end()}, {}, messages_->size(), open_});
    for (const Message& message : *messages_) run->halves.push_back({&message, run.get()});
    return static_cast<FakeStream*>(stream)->Start(run);
  }

 private:
  const State state_;
  const int rank_;
  const std::shared_ptr<const std::vector<Message>> messages_;
  const std::shared_ptr<int> open_ = std::make_shared<int>(0);  // runs under way
};

class FakeTransport : public Transport {
 public:
  FakeTransport(State state, int rank) : state_(std::move(state)), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return state_->size(); }
  bool has_streams() const override { return true; }
  bool gathers() const override { return state_->gathers(); }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override {
    for (const Message& message : messages) {
      if (message.peer < 0 || message.peer >= size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("rank ", rank_, " names peer ", message.peer));
      }
      if (!gathers() && !IsOneBlock(message)) {
        return absl::InvalidArgumentError("a message is in more than one piece");
      }
    }
    return std::make_unique<FakeExchange>(state_, rank_, std::move(messages));
  }
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override {
    RETURN_IF_ERROR(state_->end());
    return state_->AllGather(rank_, value, timeout);
  }
  absl::Status Health() override { return state_->end(); }
  void Abort(const absl::Status& reason) override {
    state_->End(absl::AbortedError(absl::StrCat("ended by rank ", rank_, ": ", reason.message())));
  }

 private:
  const State state_;
  const int rank_;
};

}  // namespace

FakeMachine::FakeMachine(int ranks, const Options& options)
    : state_(std::make_shared<State>(ranks, options)) {}
FakeMachine::~FakeMachine() { Stop(); }

std::unique_ptr<Device> FakeMachine::MakeDevice(int rank) {
  return std::make_unique<FakeDevice>(state_, rank);
}
std::unique_ptr<Transport> FakeMachine::MakeTransport(int rank) {
  return std::make_unique<FakeTransport>(state_, rank);
}
void FakeMachine::Release() { state_->Release(); }
void FakeMachine::AwaitIdle() { state_->AwaitIdle(); }
void FakeMachine::Stop() { state_->Stop(); }
int FakeMachine::num_records(int rank) const { return state_->num_records(rank); }
int FakeMachine::num_waits(int rank) const { return state_->num_waits(rank); }
std::vector<std::string> FakeMachine::races(int rank) const { return state_->race(rank).races(); }

void CallOn(Stream* stream, const std::string& what, const std::vector<RaceCheck::Access>& accesses,
            std::function<void()> call) {
  static_cast<FakeStream*>(stream)->Work(
      what, accesses, [] {}, std::move(call));
}

}  // namespace flashcp::testing

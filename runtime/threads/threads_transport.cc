// The threads transport decides who copies a message between two threads, and when.
//
// Each ordered pair of ranks has a channel: a list of operations (sends, or receives) that wait for
// their match. Start appends to the channel or matches its first entry, so messages match in the
// order in which they were started. A matched message is copied by the first of its two ranks to
// wait: it claims the message under the lock, copies without it, and wakes the other. An exchange
// thus completes once every peer has started the matching operations, whatever the peers do
// meanwhile.
//
// A wait runs out of time when `timeout` has passed since the ranks that it waits for were last
// seen to do something. Each rank is known to compute, to wait, or to be elsewhere since some
// moment; what a waiting rank waits for is followed from rank to rank, when a deadline passes and
// not before.
//
// The end of a group (Abort, mismatch, timeout) is one status that every call sees from then on.
// A rank that learns of it first waits for the copies in progress that touch its memory, and no
// copy starts after the end; so it may free its tensors, whatever the other ranks still do.
//
// One lock serves all ranks, since it is held for a few instructions; waiting is on one condition
// variable per rank. These are std::mutex and std::condition_variable, not Abseil's, because
// ThreadSanitizer understands them in a build where Abseil is a system library. The operations of
// an exchange are made when it is prepared: a step allocates nothing.

#include "runtime/threads/threads_transport.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

// One started send or receive. Linked into a channel while it waits, then to its match.
struct Operation {
  enum class Phase { kWaiting, kMatched, kCopying, kDone };
  const Message* message = nullptr;
  size_t size = 0;
  absl::Span<char* const> bases;  // while it is started
  int rank = 0;
  Phase phase = Phase::kWaiting;
  std::chrono::steady_clock::time_point arrival;  // once matched; once done, when it was
  Operation* match = nullptr;
  Operation* next = nullptr;
};

using Phase = Operation::Phase;
using Direction = Message::Direction;
using Lock = std::unique_lock<std::mutex>;

Time DeadlineAfter(Time start, absl::Duration timeout) {
  constexpr absl::Duration kForever = absl::Hours(24 * 365);  // does not overflow the clock
  return start + absl::ToChronoNanoseconds(std::min(timeout, kForever));
}

// Operations from one rank to another that wait for a match: all sends or all receives.
struct Channel {
  Operation* first = nullptr;
  Operation* last = nullptr;
};

// The operations of one exchange.
struct OperationGroup {
  std::vector<Operation> operations;
  Time started;
  bool active = false;
};

// A place in the payload of one side.
class PayloadCursor {
 public:
  explicit PayloadCursor(const Operation& side) : runs_(side.message->runs), bases_(side.bases) {}

  bool AtEnd() const { return runs_.empty(); }
  // The bytes that lie side by side from here on.
  size_t size() const { return runs_.front().size - done_; }
  char* data() const {
    const MessageRun& run = runs_.front();
    return bases_[run.buffer] + run.offset + block_ * run.stride + done_;
  }
  // Moves on within size().
  void Advance(size_t bytes) {
    done_ += bytes;
    if (done_ < runs_.front().size) return;
    done_ = 0;
    if (++block_ < runs_.front().count) return;
    block_ = 0;
    runs_.remove_prefix(1);
  }

 private:
  absl::Span<const MessageRun> runs_;
  const absl::Span<char* const> bases_;
  uint64_t block_ = 0;  // of the first run
  size_t done_ = 0;     // of the block
};

// Copies one payload; the two sides have the same size and may be cut differently.
void CopyPayload(const Operation& send, const Operation& receive) {
  PayloadCursor from(send), to(receive);
  while (!from.AtEnd() && !to.AtEnd()) {
    const size_t count = std::min(from.size(), to.size());
    if (count > 0) std::memcpy(to.data(), from.data(), count);
    from.Advance(count);
    to.Advance(count);
  }
}

std::string Describe(const Operation& operation) {
  const Message& message = *operation.message;
  return DescribeMessage(message.direction, operation.rank, message.peer, operation.size,
                         message.tag);
}

// The first message of a group that `peer` has yet to start.
std::string DescribeAwaited(const OperationGroup& group, int peer) {
  for (const Operation& operation : group.operations) {
    if (operation.phase == Phase::kWaiting && operation.message->peer == peer) {
      return Describe(operation);
    }
  }
  return "";
}

}  // namespace

class ThreadsGroup::State {
 public:
  State(int size, DeliveryModel* model)
      : ranks_(size),
        channels_(size_t{1} * size * size),
        arriving_(size),
        num_ranks_(size),
        model_(model) {}

  int size() const { return num_ranks_; }
  absl::Status Start(int rank, OperationGroup* group);
  absl::Status Wait(int rank, OperationGroup* group, absl::Duration timeout);
  void Drop(int rank, const OperationGroup& group);
  absl::StatusOr<std::vector<uint64_t>> AllGather(int rank, uint64_t value, absl::Duration timeout);
  void SetComputing(int rank, bool computing);
  void Abort(int rank, const absl::Status& reason);
  void Leave(int rank);

 private:
  struct Rank {
    std::condition_variable changed;  // an operation of this rank, an all-gather, or the end
    int copies = 0;                   // in progress, from or to this rank's memory

    bool computing = false;  // unless it waits
    bool waiting = false;
    const OperationGroup* awaited = nullptr;  // while it waits; null: an all-gather
    uint64_t gather = 0;                      // its number
    Time since;                               // of the wait; else of the last call
  };

  // The time that a rank spends in a wait; begins and ends under the lock.
  class WaitScope {
   public:
    WaitScope(Rank* rank, const OperationGroup* awaited, uint64_t gather) : rank_(*rank) {
      rank_.waiting = true;
      rank_.awaited = awaited;
      rank_.gather = gather;
      rank_.since = Clock::now();
    }
    ~WaitScope() {
      rank_.waiting = false;
      rank_.since = Clock::now();
    }

   private:
    Rank& rank_;
  };

  // All of these are called under the lock; those that take it may let it go meanwhile.
  absl::Status Post(Lock* lock, Operation* operation);
  void Copy(Lock* lock, Operation* operation);
  bool CopyMatched(Lock* lock, OperationGroup* group, Time* next);
  absl::Status End(Lock* lock, int rank, const absl::Status& reason);
  template <typename Visit>
  void VisitAwaited(const Rank& rank, const Visit& visit) const;
  Time ActiveUntil(int rank, Time now, std::vector<Time>* known) const;
  int FirstLost(int rank, absl::Duration timeout, Time* deadline) const;
  void CompleteAllGather();
  void WakeAll();

  std::mutex mutex_;  // of all that follows, except num_ranks_
  std::vector<Rank> ranks_;
  std::vector<Channel> channels_;  // [sender][receiver]
  absl::Status end_;               // why the group ended; OK: it has not

  // The values of the present all-gather, and the result of the one before, which every rank has
  // read when the present one completes.
  std::vector<absl::optional<uint64_t>> arriving_;
  std::vector<uint64_t> gathered_;
  uint64_t num_gathered_ = 0;  // all-gathers completed

  const int num_ranks_;
  DeliveryModel* const model_;  // may be null
};

absl::Status ThreadsGroup::State::Start(int rank, OperationGroup* group) {
  Lock lock(mutex_);
  if (!end_.ok()) return End(&lock, rank, end_);
  group->active = true;
  group->started = ranks_[rank].since = Clock::now();
  for (Operation& operation : group->operations) {
    operation.phase = Phase::kWaiting;
    operation.arrival = Time();
    operation.match = operation.next = nullptr;
  }
  for (Operation& operation : group->operations) RETURN_IF_ERROR(Post(&lock, &operation));
  return absl::OkStatus();
}

// Matches the operation with the first one that waits for it, or lets it wait.
absl::Status ThreadsGroup::State::Post(Lock* lock, Operation* operation) {
  const Message& message = *operation->message;
  bool sends = message.direction == Direction::kSend;
  int sender = sends ? operation->rank : message.peer;
  int receiver = sends ? message.peer : operation->rank;
  Channel& channel = channels_[size_t{1} * sender * num_ranks_ + receiver];
  Operation* match = channel.first;
  if (match == nullptr || match->message->direction == message.direction) {
    (match == nullptr ? channel.first : channel.last->next) = operation;
    channel.last = operation;
    return absl::OkStatus();
  }
  channel.first = match->next;
  if (match->size != operation->size || match->message->tag != message.tag) {
    return End(lock, operation->rank,
               absl::InvalidArgumentError(
                   absl::StrCat("message mismatch: ", Describe(sends ? *operation : *match),
                                ", but ", Describe(sends ? *match : *operation))));
  }
  operation->match = match;
  match->match = operation;
  operation->phase = match->phase = Phase::kMatched;
  if (model_ != nullptr) {
    operation->arrival = match->arrival =
        model_->Arrival(sender, receiver, operation->size, Clock::now());
  }
  ranks_[match->rank].changed.notify_all();
  return absl::OkStatus();
}

absl::Status ThreadsGroup::State::Wait(int rank, OperationGroup* started, absl::Duration timeout) {
  Lock lock(mutex_);
  OperationGroup& group = *started;
  Rank& self = ranks_[rank];
  const WaitScope scope(&self, &group, 0);
  Time deadline = DeadlineAfter(self.since, timeout);
  while (true) {
    Time next = Time::max();
    if (CopyMatched(&lock, &group, &next)) break;
    if (!end_.ok()) return End(&lock, rank, end_);
    if (const int lost = FirstLost(rank, timeout, &deadline); lost >= 0) {
      return End(&lock, rank,
                 absl::DeadlineExceededError(
                     absl::StrCat("rank ", rank, " waited ", absl::FormatDuration(timeout),
                                  " for rank ", lost, ": ", DescribeAwaited(group, lost))));
    }
    self.changed.wait_until(lock, std::min(next, deadline));
  }
  group.active = false;
  return absl::OkStatus();
}

// Copies what has arrived and returns whether all of the group is done. `next` becomes earlier
// where a message arrives by itself before.
bool ThreadsGroup::State::CopyMatched(Lock* lock, OperationGroup* group, Time* next) {
  bool done;
  bool copied;
  do {
    done = true;
    copied = false;
    for (Operation& operation : group->operations) {
      if (operation.phase == Phase::kMatched && end_.ok()) {
        if (model_ == nullptr || operation.arrival <= Clock::now()) {
          Copy(lock, &operation);
          copied = true;
        } else {
          *next = std::min(*next, operation.arrival);
        }
      }
      done &= operation.phase == Phase::kDone;
    }
  } while (!done && copied);  // more may have been matched meanwhile
  return done;
}

// Visits the ranks that have yet to start what a waiting rank waits for.
template <typename Visit>
void ThreadsGroup::State::VisitAwaited(const Rank& rank, const Visit& visit) const {
  if (rank.awaited != nullptr) {
    for (const Operation& operation : rank.awaited->operations) {
      if (operation.phase == Phase::kWaiting) visit(operation.message->peer);
    }
  } else if (rank.gather == num_gathered_) {
    for (int peer = 0; peer < num_ranks_; ++peer) {
      if (!arriving_[peer]) visit(peer);
    }
  }
}

// When a rank was last known to do something: `now` while it computes, or waits for nothing but
// ranks that do. `known` holds what was found before, by rank.
Time ThreadsGroup::State::ActiveUntil(int rank, Time now, std::vector<Time>* known) const {
  const Rank& self = ranks_[rank];
  if (!self.waiting) return self.computing ? now : self.since;
  Time& result = (*known)[rank];
  if (result != Time()) return result;
  result = self.since;  // what ranks find that wait for this one, and this one for them
  Time until = now;
  VisitAwaited(self, [&](int peer) { until = std::min(until, ActiveUntil(peer, now, known)); });
  return result = std::max(self.since, until);
}

// Once the deadline of a waiting rank has passed: the rank that it waits for and that has done
// nothing for `timeout`. If there is none, -1, and the deadline moves to when there could be one.
int ThreadsGroup::State::FirstLost(int rank, absl::Duration timeout, Time* deadline) const {
  const Time now = Clock::now();
  if (now < *deadline) return -1;
  std::vector<Time> known(num_ranks_);
  Time until = now;
  int lost = -1;
  VisitAwaited(ranks_[rank], [&](int peer) {
    const Time active = std::max(ranks_[rank].since, ActiveUntil(peer, now, &known));
    if (lost >= 0 && active >= until) return;
    until = active;
    lost = peer;
  });
  *deadline = DeadlineAfter(until, timeout);
  return now < *deadline ? -1 : lost;
}

void ThreadsGroup::State::Copy(Lock* lock, Operation* operation) {
  Operation* match = operation->match;
  const Operation* send = operation->message->direction == Direction::kSend ? operation : match;
  const Operation* receive = send == operation ? match : operation;
  operation->phase = match->phase = Phase::kCopying;
  ++ranks_[operation->rank].copies;
  ++ranks_[match->rank].copies;
  lock->unlock();
  CopyPayload(*send, *receive);
  lock->lock();
  --ranks_[operation->rank].copies;
  --ranks_[match->rank].copies;
  operation->phase = match->phase = Phase::kDone;
  if (model_ == nullptr) operation->arrival = match->arrival = Clock::now();
  ranks_[match->rank].changed.notify_all();
}

absl::StatusOr<std::vector<uint64_t>> ThreadsGroup::State::AllGather(int rank, uint64_t value,
                                                                     absl::Duration timeout) {
  Lock lock(mutex_);
  const uint64_t number = num_gathered_;
  const WaitScope scope(&ranks_[rank], nullptr, number);
  Time deadline = DeadlineAfter(ranks_[rank].since, timeout);
  arriving_[rank] = value;
  CompleteAllGather();
  while (num_gathered_ == number) {
    if (!end_.ok()) return End(&lock, rank, end_);
    if (const int lost = FirstLost(rank, timeout, &deadline); lost >= 0) {
      return End(&lock, rank,
                 absl::DeadlineExceededError(
                     absl::StrCat("rank ", rank, " waited ", absl::FormatDuration(timeout),
                                  " for rank ", lost, " to join an all-gather")));
    }
    ranks_[rank].changed.wait_until(lock, deadline);
  }
  return gathered_;
}

// Completes the all-gather if every rank has arrived.
void ThreadsGroup::State::CompleteAllGather() {
  if (std::find(arriving_.begin(), arriving_.end(), absl::nullopt) != arriving_.end()) return;
  gathered_.clear();
  for (absl::optional<uint64_t>& value : arriving_) gathered_.push_back(*value);
  arriving_.assign(num_ranks_, absl::nullopt);
  ++num_gathered_;
  WakeAll();
}

void ThreadsGroup::State::SetComputing(int rank, bool computing) {
  Lock lock(mutex_);
  ranks_[rank].computing = computing;
  ranks_[rank].since = Clock::now();
}

void ThreadsGroup::State::Abort(int rank, const absl::Status& reason) {
  Lock lock(mutex_);
  End(&lock, rank, absl::AbortedError(absl::StrCat("ended by rank ", rank, ": ", reason.message())))
      .IgnoreError();
}

void ThreadsGroup::State::Leave(int rank) {
  Lock lock(mutex_);
  if (ranks_[rank].computing) ranks_[rank].since = Clock::now();
  ranks_[rank].computing = false;
}

void ThreadsGroup::State::Drop(int rank, const OperationGroup& group) {
  if (!group.active) return;
  Lock lock(mutex_);
  End(&lock, rank,
      absl::AbortedError(
          absl::StrCat("ended by rank ", rank, ": it left before its messages had completed")))
      .IgnoreError();
}

// Ends the group of ranks, unless it has ended before; returns why it ended, once nobody touches
// the memory of this rank any more.
absl::Status ThreadsGroup::State::End(Lock* lock, int rank, const absl::Status& reason) {
  if (end_.ok()) {
    end_ = reason;
    WakeAll();
  }
  while (ranks_[rank].copies > 0) ranks_[rank].changed.wait(*lock);
  return end_;
}

void ThreadsGroup::State::WakeAll() {
  for (Rank& rank : ranks_) rank.changed.notify_all();
}

namespace {

class ThreadsExchange : public Exchange {
 public:
  ThreadsExchange(std::shared_ptr<ThreadsGroup::State> state, int rank,
                  std::vector<Message> messages)
      : state_(std::move(state)),
        rank_(rank),
        messages_(std::move(messages)),
        bases_(BuffersOf(messages_)) {
    for (const Message& message : messages_) {
      Operation& operation = group_.operations.emplace_back();
      operation.message = &message;
      operation.size = PayloadBytes(message);
      operation.bases = bases_;
      operation.rank = rank;
    }
  }
  ~ThreadsExchange() override { state_->Drop(rank_, group_); }

  absl::Status Start(BufferBases bases, Stream*) override {
    if (group_.active) return Misused("starts an exchange that it has not waited for");
    std::copy_n(bases.begin(), bases_.size(), bases_.begin());
    return state_->Start(rank_, &group_);
  }
  absl::Status Wait(absl::Duration timeout) override {
    if (!group_.active) return Misused("waits for an exchange that it has not started");
    return state_->Wait(rank_, &group_, timeout);
  }
  int64_t CompletedNs() const override {
    Time completed = group_.started;
    for (const Operation& operation : group_.operations) {
      completed = std::max(completed, operation.arrival);
    }
    return std::chrono::nanoseconds(completed.time_since_epoch()).count();
  }

 private:
  // Room for the bases of the buffers that messages use.
  static std::vector<char*> BuffersOf(absl::Span<const Message> messages) {
    size_t buffers = 0;
    for (const Message& message : messages) {
      for (const MessageRun& run : message.runs) {
        buffers = std::max<size_t>(buffers, run.buffer + 1);
      }
    }
    return std::vector<char*>(buffers);
  }

  absl::Status Misused(const char* how) const {
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank_, " ", how));
  }

  const std::shared_ptr<ThreadsGroup::State> state_;
  const int rank_;
  const std::vector<Message> messages_;
  std::vector<char*> bases_;  // of the present run
  OperationGroup group_;
};

class ThreadsTransport : public Transport {
 public:
  ThreadsTransport(std::shared_ptr<ThreadsGroup::State> state, int rank)
      : state_(std::move(state)), rank_(rank) {}
  ~ThreadsTransport() override { state_->Leave(rank_); }

  int rank() const override { return rank_; }
  int size() const override { return state_->size(); }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override {
    for (const Message& message : messages) {
      if (message.peer >= 0 && message.peer < size()) continue;
      return absl::InvalidArgumentError(absl::StrCat("rank ", rank_, " names peer ", message.peer,
                                                     ": expected 0 to ", size() - 1));
    }
    return std::make_unique<ThreadsExchange>(state_, rank_, std::move(messages));
  }
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override {
    return state_->AllGather(rank_, value, timeout);
  }
  void SetComputing(bool computing) override { state_->SetComputing(rank_, computing); }
  void Abort(const absl::Status& reason) override { state_->Abort(rank_, reason); }

 private:
  const std::shared_ptr<ThreadsGroup::State> state_;
  const int rank_;
};

}  // namespace

ThreadsGroup::ThreadsGroup(int size, DeliveryModel* model)
    : state_(std::make_shared<State>(size, model)) {}

ThreadsGroup::~ThreadsGroup() = default;

int ThreadsGroup::size() const { return state_->size(); }

void ThreadsGroup::Abort(int rank, const absl::Status& reason) { state_->Abort(rank, reason); }

std::unique_ptr<Transport> ThreadsGroup::MakeTransport(int rank) {
  return std::make_unique<ThreadsTransport>(state_, rank);
}

}  // namespace flashcp

// The MPI transport decides how the messages of an exchange become MPI requests, and when a wait
// ends.
//
// One Message is one MPI_Isend or MPI_Irecv with the tag of the plan. Receives accept any tag of
// their peer: MPI keeps the order of the messages between two processes, so each meets its match,
// and the tag and size that it carries tell whether it is the expected one.
//
// A wait polls its own requests, and the notices by which ranks tell each other of the end, on a
// second communicator. Polls come one after the other while something moves, then with sleeps
// between them: a rank that waits long leaves its core to others.
//
// At the end of a group, open receives are cancelled, and the rank waits a moment for the notices
// of all others. From then on they send it nothing, nor do they read what it has sent. Where one
// does not answer, this rank makes no further call to MPI, which is what moves messages. Either
// way its memory is its own again.

#include "runtime/mpi/mpi_transport.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/mpi/mpi_message.h"
#include "runtime/mpi/mpi_notices.h"
#include "runtime/mpi/mpi_polling.h"
#include "runtime/mpi/mpi_progress.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

using Direction = Message::Direction;

constexpr int kNoticeTag = 0;  // on the control communicator
constexpr int kGatherTag = 1;

// How long a rank waits for the notices of the others where the group has ended, and where it
// leaves. The first is less than the second that mpirun gives a process to end.
constexpr absl::Duration kEndWait = absl::Milliseconds(300);
constexpr absl::Duration kLeaveWait = absl::Seconds(1);

// The messages of one exchange and their requests.
struct RequestGroup {
  std::vector<Message> messages;
  std::vector<size_t> sizes;                   // by message
  std::vector<std::unique_ptr<MpiRuns>> runs;  // by message
  std::vector<MPI_Request> requests;           // by message
  size_t num_open = 0;
  bool active = false;
  int64_t completed_ns = 0;  // steady clock, as far as it is known; else 0
};

int64_t SteadyNs() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Any call moves what is open; this one has no other effect.
bool IsComplete(const RequestGroup& group) {
  return std::all_of(group.requests.begin(), group.requests.end(), [](MPI_Request request) {
    int done = 0;
    return MPI_Request_get_status(request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done;
  });
}

// While it lives, the call is for this rank.
class InCall {
 public:
  InCall(std::atomic<int>* in_call_for, int rank) : in_call_for_(in_call_for) {
    if (in_call_for_ != nullptr) *in_call_for_ = rank;
  }
  InCall(const InCall&) = delete;
  ~InCall() {
    if (in_call_for_ != nullptr) *in_call_for_ = -1;
  }

 private:
  std::atomic<int>* const in_call_for_;
};

// Index of the first open message of a group that has one.
size_t FirstOpen(const RequestGroup& group) {
  size_t open = 0;
  while (group.requests[open] == MPI_REQUEST_NULL) ++open;
  return open;
}

class MpiTransport : public Transport {
 public:
  explicit MpiTransport(const MpiOptions& options) : options_(options) {}
  ~MpiTransport() override;

  absl::Status Join(MPI_Comm parent);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override;
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override;
  void Abort(const absl::Status& reason) override;

  absl::Status Start(RequestGroup* group, BufferBases bases);
  absl::Status Wait(RequestGroup* group, absl::Duration timeout);
  void Drop(RequestGroup* group);

 private:
  absl::Status Post(RequestGroup* group, size_t index, BufferBases bases);
  absl::Status Poll(RequestGroup* group);
  absl::Status CheckReceived(const RequestGroup& group, size_t index,
                             const MPI_Status& status) const;
  std::string Describe(const RequestGroup& group, size_t index) const;
  absl::Status StartGather(uint64_t value);
  absl::Status Await(absl::Duration timeout, const std::function<absl::StatusOr<bool>()>& poll,
                     const std::function<int()>& whom, const std::function<std::string()>& what);
  absl::Status Hear();
  absl::Status Requested();
  void StartProgress();
  bool MoveOpen();
  void NoteOpen();
  absl::Status End(const absl::Status& reason);
  void Settle();

  const MpiOptions options_;
  MPI_Comm data_ = MPI_COMM_NULL;
  MPI_Comm control_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  MpiNotices notices_;
  std::vector<RequestGroup*> groups_;   // of all exchanges
  std::vector<int> completed_;          // of MPI_Testsome
  std::vector<MPI_Status> statuses_;    // of MPI_Testsome
  std::vector<uint64_t> gathered_;      // by rank
  std::vector<MPI_Request> gathering_;  // receives by rank, then sends by rank
  absl::Status end_;                    // why the group ended; OK: it has not
  std::mutex request_mutex_;
  absl::Status request_;  // of Abort, from any thread; under its mutex
  std::atomic<bool> is_requested_{false};
  MpiProgress progress_;  // the last to be made, the first to end
};

// Joins, without waiting for ever for a process that does not come.
absl::Status MpiTransport::Join(MPI_Comm parent) {
  for (MPI_Comm* comm : {&data_, &control_}) {
    MPI_Request request;
    RETURN_IF_MPI_ERROR(MPI_Comm_idup(parent, comm, &request));
    Polling polling(options_.timeout);
    for (int done = 0; true;) {
      RETURN_IF_MPI_ERROR(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
      if (done) break;
      if (polling.Pause()) continue;
      return absl::DeadlineExceededError(absl::StrCat(
          "waited ", absl::FormatDuration(options_.timeout), " for the other processes to join"));
    }
    RETURN_IF_MPI_ERROR(MPI_Comm_set_errhandler(*comm, MPI_ERRORS_RETURN));
  }
  RETURN_IF_MPI_ERROR(MPI_Comm_rank(data_, &rank_));
  RETURN_IF_MPI_ERROR(MPI_Comm_size(data_, &size_));
  gathered_.resize(size_);
  gathering_.assign(2 * size_, MPI_REQUEST_NULL);
  RETURN_IF_ERROR(notices_.Open(control_, kNoticeTag));
  StartProgress();
  return absl::OkStatus();
}

void MpiTransport::StartProgress() {
  int provided = MPI_THREAD_SINGLE;
  MPI_Query_thread(&provided);
  if (provided < MPI_THREAD_SERIALIZED) return;
  progress_.Start([this] { return MoveOpen(); });
}

// Moves open messages while the rank computes, and notes when a group is complete; false once it
// must no more.
bool MpiTransport::MoveOpen() {
  const bool stopped = options_.stop != nullptr && *options_.stop;
  if (!end_.ok() || stopped) return false;
  for (RequestGroup* group : groups_) {
    const bool open = group->active && group->completed_ns == 0;
    if (open && IsComplete(*group)) group->completed_ns = SteadyNs();
  }
  return true;
}

// Tells the thread whether there is something to move.
void MpiTransport::NoteOpen() {
  progress_.SetOpen(std::any_of(groups_.begin(), groups_.end(),
                                [](const RequestGroup* group) { return group->active; }));
}

// Frees the communicators where every rank has left in peace; others may be still in use.
MpiTransport::~MpiTransport() {
  auto lock = progress_.Enter();
  if (!end_.ok() || control_ == MPI_COMM_NULL) return;
  absl::Status status = notices_.Send(absl::OkStatus());
  Polling polling(kLeaveWait);
  while (status.ok() && !notices_.complete() && polling.Pause()) status = notices_.Poll();
  if (!status.ok() || !notices_.complete()) return;
  MPI_Comm_free(&data_);
  MPI_Comm_free(&control_);
}

// An exchange of this transport: its calls are the transport's.
class MpiExchange : public Exchange {
 public:
  MpiExchange(MpiTransport* transport, RequestGroup group)
      : transport_(*transport), group_(std::move(group)) {}
  ~MpiExchange() override { transport_.Drop(&group_); }

  absl::Status Start(BufferBases bases, Stream*) override {
    return transport_.Start(&group_, bases);
  }
  absl::Status Wait(absl::Duration timeout) override { return transport_.Wait(&group_, timeout); }
  int64_t CompletedNs() const override { return group_.completed_ns; }
  RequestGroup* group() { return &group_; }

 private:
  MpiTransport& transport_;
  RequestGroup group_;
};

absl::StatusOr<std::unique_ptr<Exchange>> MpiTransport::Prepare(std::vector<Message> messages) {
  RequestGroup group;
  group.messages = std::move(messages);
  group.requests.assign(group.messages.size(), MPI_REQUEST_NULL);
  for (size_t i = 0; i < group.messages.size(); ++i) {
    const Message& message = group.messages[i];
    if (message.peer < 0 || message.peer >= size_) {
      return absl::InvalidArgumentError(absl::StrCat("rank ", rank_, " names peer ", message.peer,
                                                     ": expected 0 to ", size_ - 1));
    }
    RETURN_IF_ERROR(MpiRuns::Check(message));
    group.sizes.push_back(PayloadBytes(message));
    group.runs.push_back(std::make_unique<MpiRuns>(message));
    if (message.tag > static_cast<uint32_t>(std::numeric_limits<int>::max())) {
      return absl::InvalidArgumentError(absl::StrCat(Describe(group, i), ": MPI allows tags to ",
                                                     std::numeric_limits<int>::max()));
    }
  }
  auto exchange = std::make_unique<MpiExchange>(this, std::move(group));
  auto lock = progress_.Enter();
  groups_.push_back(exchange->group());
  return exchange;
}

// Forgets an exchange that goes; one that is under way ends the group of ranks.
void MpiTransport::Drop(RequestGroup* group) {
  auto lock = progress_.Enter();
  if (group->active) {
    End(absl::AbortedError(
            absl::StrCat("ended by rank ", rank_, ": it left before its messages had completed")))
        .IgnoreError();
  }
  groups_.erase(std::remove(groups_.begin(), groups_.end(), group), groups_.end());
  group->runs.clear();  // calls MPI
}

absl::Status MpiTransport::Start(RequestGroup* group, BufferBases bases) {
  auto lock = progress_.Enter();
  if (group->active) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank_, " starts an exchange that it has not waited for"));
  }
  const std::vector<Message>& messages = group->messages;
  InCall in_call(options_.in_call_for, messages.size() == 1 ? messages[0].peer : size_);
  RETURN_IF_ERROR(Hear());
  group->num_open = messages.size();
  group->active = true;
  group->completed_ns = 0;
  // Receives first: what arrives finds its place.
  for (Direction direction : {Direction::kReceive, Direction::kSend}) {
    for (size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].direction != direction) continue;
      absl::Status posted = Post(group, i, bases);
      if (!posted.ok()) return End(posted);
    }
  }
  NoteOpen();
  return absl::OkStatus();
}

absl::Status MpiTransport::Post(RequestGroup* group, size_t index, BufferBases bases) {
  const Message& message = group->messages[index];
  MPI_Request* const request = &group->requests[index];
  ASSIGN_OR_RETURN(MpiMessage mpi, group->runs[index]->At(bases));
  if (message.direction == Direction::kSend) {
    RETURN_IF_MPI_ERROR(MPI_Isend(mpi.base, mpi.count, mpi.type, message.peer,
                                  static_cast<int>(message.tag), data_, request));
  } else {
    RETURN_IF_MPI_ERROR(
        MPI_Irecv(mpi.base, mpi.count, mpi.type, message.peer, MPI_ANY_TAG, data_, request));
  }
  return absl::OkStatus();
}

absl::Status MpiTransport::Wait(RequestGroup* started, absl::Duration timeout) {
  auto lock = progress_.Enter();
  RequestGroup& group = *started;
  if (!group.active) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank_, " waits for an exchange that it has not started"));
  }
  InCall in_call(options_.in_call_for, size_);
  auto poll = [&]() -> absl::StatusOr<bool> {
    RETURN_IF_ERROR(Poll(&group));
    return group.num_open == 0;
  };
  auto whom = [&] { return group.messages[FirstOpen(group)].peer; };
  auto what = [&] { return absl::StrCat(": ", Describe(group, FirstOpen(group))); };
  RETURN_IF_ERROR(Await(timeout, poll, whom, what));
  if (group.completed_ns == 0) group.completed_ns = SteadyNs();
  group.active = false;
  NoteOpen();
  return absl::OkStatus();
}

// Takes the messages of the group that have completed.
absl::Status MpiTransport::Poll(RequestGroup* group) {
  if (!end_.ok() || group->num_open == 0) return end_;
  const size_t count = group->requests.size();
  if (completed_.size() < count) completed_.resize(count), statuses_.resize(count);
  int num_completed = 0;
  const int code = MPI_Testsome(count, group->requests.data(), &num_completed, completed_.data(),
                                statuses_.data());
  if (code != MPI_ERR_IN_STATUS) RETURN_IF_ERROR(MpiStatus(code, "MPI_Testsome"));
  for (int i = 0; i < num_completed; ++i) {
    const size_t index = completed_[i];
    --group->num_open;
    MPI_Status& status = statuses_[i];
    if (code == MPI_SUCCESS) status.MPI_ERROR = MPI_SUCCESS;  // MPI sets it only with an error
    if (group->messages[index].direction == Direction::kReceive) {
      RETURN_IF_ERROR(CheckReceived(*group, index, status));
    } else if (status.MPI_ERROR != MPI_SUCCESS) {
      return MpiStatus(status.MPI_ERROR, Describe(*group, index).c_str());
    }
  }
  return absl::OkStatus();
}

absl::Status MpiTransport::CheckReceived(const RequestGroup& group, size_t index,
                                         const MPI_Status& status) const {
  const Message& message = group.messages[index];
  int error_class = MPI_SUCCESS;
  if (status.MPI_ERROR != MPI_SUCCESS) MPI_Error_class(status.MPI_ERROR, &error_class);
  if (error_class != MPI_SUCCESS && error_class != MPI_ERR_TRUNCATE) {
    return MpiStatus(status.MPI_ERROR, Describe(group, index).c_str());
  }
  ASSIGN_OR_RETURN(size_t bytes, ReceivedBytes(status));
  const bool truncated = error_class == MPI_ERR_TRUNCATE;
  if (!truncated && bytes == group.sizes[index] && status.MPI_TAG == int(message.tag)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("message mismatch: ",
                   DescribeMessage(Direction::kSend, message.peer, rank_, bytes, status.MPI_TAG),
                   ", but ", Describe(group, index)));
}

std::string MpiTransport::Describe(const RequestGroup& group, size_t index) const {
  const Message& message = group.messages[index];
  return DescribeMessage(message.direction, rank_, message.peer, group.sizes[index], message.tag);
}

absl::StatusOr<std::vector<uint64_t>> MpiTransport::AllGather(uint64_t value,
                                                              absl::Duration timeout) {
  auto lock = progress_.Enter();
  InCall in_call(options_.in_call_for, size_);
  RETURN_IF_ERROR(Hear());
  absl::Status started = StartGather(value);
  if (!started.ok()) return End(started);
  auto poll = [&]() -> absl::StatusOr<bool> {
    int done = 0;
    RETURN_IF_MPI_ERROR(
        MPI_Testall(gathering_.size(), gathering_.data(), &done, MPI_STATUSES_IGNORE));
    return done != 0;
  };
  // MPI_Testall completes all requests or none.
  auto whom = [&] {
    for (size_t i = 0; i < gathering_.size(); ++i) {
      int done = 0;
      MPI_Request_get_status(gathering_[i], &done, MPI_STATUS_IGNORE);
      if (!done) return static_cast<int>(i) % size_;  // receives by rank, then sends by rank
    }
    return rank_;  // all have completed since the last poll
  };
  auto what = [] { return std::string(" to join an all-gather"); };
  RETURN_IF_ERROR(Await(timeout, poll, whom, what));
  return gathered_;
}

absl::Status MpiTransport::StartGather(uint64_t value) {
  gathered_[rank_] = value;
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    RETURN_IF_MPI_ERROR(MPI_Irecv(&gathered_[peer], 1, MPI_UINT64_T, peer, kGatherTag, control_,
                                  &gathering_[peer]));
    RETURN_IF_MPI_ERROR(MPI_Isend(&gathered_[rank_], 1, MPI_UINT64_T, peer, kGatherTag, control_,
                                  &gathering_[size_ + peer]));
  }
  return absl::OkStatus();
}

// Asks a wait that is under way, which holds the lock, to end the group; else ends it here.
void MpiTransport::Abort(const absl::Status& reason) {
  {
    std::lock_guard<std::mutex> lock(request_mutex_);
    if (request_.ok()) {
      request_ = absl::AbortedError(absl::StrCat("ended by rank ", rank_, ": ", reason.message()));
    }
    is_requested_ = true;
  }
  auto lock = progress_.Enter();
  End(Requested()).IgnoreError();
}

absl::Status MpiTransport::Requested() {
  std::lock_guard<std::mutex> lock(request_mutex_);
  return request_;
}

// Polls until `poll` says true. `whom` and `what` say which rank this one waits for, and why.
absl::Status MpiTransport::Await(absl::Duration timeout,
                                 const std::function<absl::StatusOr<bool>()>& poll,
                                 const std::function<int()>& whom,
                                 const std::function<std::string()>& what) {
  Polling polling(timeout);
  for (bool in_time = true; true; in_time = polling.Pause()) {
    absl::StatusOr<bool> done = poll();
    if (!done.ok()) return End(done.status());
    if (*done) return absl::OkStatus();
    if (options_.in_call_for != nullptr) *options_.in_call_for = whom();
    RETURN_IF_ERROR(Hear());
    if (is_requested_) return End(Requested());
    if (options_.stop != nullptr && *options_.stop) {
      // No further call to MPI: it may hang at a dead peer while mpirun ends the others.
      end_ = absl::CancelledError(absl::StrCat(
          "rank ", rank_, " was told to end while it waited for rank ", whom(), what()));
      return end_;
    }
    if (in_time) continue;
    return End(absl::DeadlineExceededError(absl::StrCat(
        "rank ", rank_, " waited ", absl::FormatDuration(timeout), " for rank ", whom(), what())));
  }
}

// Why the group ended, if it has.
absl::Status MpiTransport::Hear() {
  if (!end_.ok()) return end_;
  absl::Status heard = notices_.Poll();
  return heard.ok() ? heard : End(heard);
}

// Ends the group of ranks, unless it has ended before; returns why it ended.
absl::Status MpiTransport::End(const absl::Status& reason) {
  if (!end_.ok()) return end_;
  end_ = reason;
  if (notices_.Send(reason).ok()) Settle();
  return end_;
}

// Waits until no other rank touches the memory of this one; but not for ever, and after it this
// rank calls MPI no more.
void MpiTransport::Settle() {
  std::vector<MPI_Request*> receives;
  for (RequestGroup* group : groups_) {
    for (size_t i = 0; i < group->requests.size(); ++i) {
      const bool receive = group->messages[i].direction == Direction::kReceive;
      if (receive && group->requests[i] != MPI_REQUEST_NULL)
        receives.push_back(&group->requests[i]);
    }
  }
  for (MPI_Request* receive : receives) MPI_Cancel(receive);
  auto receives_are_done = [&] {
    for (MPI_Request* receive : receives) {
      int done = 0;
      if (*receive != MPI_REQUEST_NULL) MPI_Test(receive, &done, MPI_STATUS_IGNORE);
      if (*receive != MPI_REQUEST_NULL) return false;
    }
    return true;
  };
  for (int peer = 0; peer < size_; ++peer) {
    if (gathering_[peer] != MPI_REQUEST_NULL) MPI_Cancel(&gathering_[peer]);
  }
  Polling polling(kEndWait);
  while (!(receives_are_done() && notices_.complete())) {
    notices_.Poll().IgnoreError();
    if (!polling.Pause()) return;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Transport>> MakeMpiTransport(MPI_Comm parent,
                                                            const MpiOptions& options) {
  auto transport = std::make_unique<MpiTransport>(options);
  RETURN_IF_ERROR(transport->Join(parent));
  return transport;
}

}  // namespace flashcp

// The ranks of `flashcp run --transport mpi`: this process is one of them. Rank 0 leads.
//
// mpirun ends all processes where one has died: with SIGTERM, and a second later for good. The
// handler here turns this into an error of the wait that the rank is in, which says where it was;
// where it computes and does not come to a wait, the handler of an alarm says so.

#include <mpi.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/transport_mpi.h"
#include "support/status_macros.h"
#include "tools/cli/launcher.h"
#include "tools/cli/memory.h"
#include "tools/cli/ranks.h"

namespace flashcp::cli {
namespace {

using Direction = Transfer::Direction;

// Of a message between the leading rank and another, outside of the plan.
constexpr uint32_t kInputsTag = 0;
constexpr uint32_t kResultsTag = 1;

// State of the signal handlers, which take no argument.
std::atomic<bool> told_to_end{false};
std::atomic<int> in_call_for{-1};
std::string& in_compute = *new std::string;
std::vector<std::string>& in_mpi = *new std::vector<std::string>;  // by in_call_for

// mpirun kills all as soon as the first one has ended after SIGTERM: so none ends before the others
// have said where they were.
void Linger() {
  timespec moment = {0, 300000000};
  while (told_to_end && nanosleep(&moment, &moment) != 0) {
  }
}

extern "C" void OnAlarm(int) {
  const int peer = in_call_for;
  const std::string& words = peer < 0 ? in_compute : in_mpi[peer];
  // Nothing can be done about a failure.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, words.data(), words.size());
  Linger();
  _exit(1);
}

extern "C" void OnSigterm(int) {
  told_to_end = true;
  itimerval moment = {};
  moment.it_value.tv_usec = 200000;
  setitimer(ITIMER_REAL, &moment, nullptr);
}

void HandleSigterm(int rank, int size) {
  const std::string words =
      absl::StrCat("flashcp: rank ", rank,
                   " was told to end (another rank has failed, or mpirun was stopped) while it ");
  in_compute = absl::StrCat(words, "computed\n");
  for (int peer = 0; peer < size; ++peer) {
    in_mpi.push_back(absl::StrCat(words, "was in MPI, for rank ", peer, "\n"));
  }
  in_mpi.push_back(absl::StrCat(words, "was in MPI, for several ranks\n"));
  struct sigaction action = {};
  action.sa_handler = OnAlarm;
  sigaction(SIGALRM, &action, nullptr);
  action.sa_handler = OnSigterm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  std::atexit([] {
    signal(SIGALRM, SIG_IGN);  // this process has said it
    Linger();
  });
}

class MpiRanks : public Ranks {
 public:
  explicit MpiRanks(absl::Duration timeout) : timeout_(timeout) {}
  ~MpiRanks() override {
    if (peaceful_ && std::uncaught_exceptions() > 0) {
      peaceful_ = false;
      transport_->Abort(absl::ResourceExhaustedError(OutOfMemoryMessage()));
    }
    if (peaceful_) {
      // All ranks know how this ends, and the leading one has yet to say it: that another one has
      // ended with an error, after which mpirun tells all to end, must not come between.
      signal(SIGTERM, SIG_IGN);
      transport_.reset();
      MPI_Finalize();
    } else {
      // MPI would wait for processes that may be gone, before this one has said what it knows.
      transport_.release();
    }
  }

  absl::Status Join() {
    int provided;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
      return absl::InternalError("MPI does not start");
    }
    MpiOptions options;
    options.timeout = timeout_;
    options.stop = &told_to_end;
    options.in_call_for = &in_call_for;
    ASSIGN_OR_RETURN(transport_, MakeMpiTransport(MPI_COMM_WORLD, options));
    HandleSigterm(transport_->rank(), transport_->size());
    peaceful_ = true;
    return absl::OkStatus();
  }

  bool leads() const override { return transport_->rank() == 0; }
  bool Holds(int rank) const override { return transport_->rank() == rank; }

  absl::Status CheckNumber(const Plan& plan) const override {
    if (plan.num_ranks() == transport_->size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--transport: the plan is for ", plan.num_ranks(), " ranks, mpirun started ",
                     transport_->size(), " processes: start it with mpirun -n ", plan.num_ranks()));
  }

  absl::Status Run(const Plan& plan, bool backward, BatchTensors* batch,
                   const std::function<absl::Status(Transport*, RankTensors*)>& run) override {
    RankTensors local = MakeRankTensors(plan, transport_->rank(), backward);
    absl::Status status = leads()
                              ? SendInputs(plan, backward, *batch, &local)
                              : Exchange(Direction::kReceive, kInputsTag, {{0, local.Inputs()}});
    if (status.ok()) status = run(transport_.get(), &local);
    if (status.ok()) {
      status = leads() ? ReceiveResults(plan, backward, local, batch)
                       : Exchange(Direction::kSend, kResultsTag, {{0, local.Results()}});
    }
    if (!status.ok()) {
      peaceful_ = false;
      transport_->Abort(status);
    }
    return status;
  }

  absl::Status Agree(const absl::Status& status) override {
    if (!peaceful_) return status;  // all have their errors
    // Reading files and checking results may take the leading rank any time.
    absl::StatusOr<std::vector<uint64_t>> codes =
        transport_->AllGather(static_cast<uint64_t>(status.code()), absl::InfiniteDuration());
    peaceful_ = codes.ok();
    if (!codes.ok()) return status.ok() ? codes.status() : status;
    const uint64_t leading = (*codes)[0];
    if (!status.ok() && (leads() || leading != static_cast<uint64_t>(status.code()))) {
      return absl::Status(status.code(), leads() ? std::string(status.message())
                                                 : absl::StrCat("rank ", transport_->rank(), ": ",
                                                                status.message()));
    }
    for (uint64_t code : *codes) {
      if (code != 0) return absl::Status(static_cast<absl::StatusCode>(code), "");
    }
    return absl::OkStatus();
  }

 private:
  // A message of all these tensors.
  struct Parcel {
    int peer;
    std::vector<std::vector<char>*> tensors;
  };
  absl::Status Exchange(Direction direction, uint32_t tag, const std::vector<Parcel>& parcels);
  absl::Status SendInputs(const Plan& plan, bool backward, const BatchTensors& batch,
                          RankTensors* local);
  absl::Status ReceiveResults(const Plan& plan, bool backward, const RankTensors& local,
                              BatchTensors* batch);

  const absl::Duration timeout_;
  std::unique_ptr<Transport> transport_;
  bool peaceful_ = false;  // MPI has started, and no rank has failed since
};

absl::Status MpiRanks::Exchange(Direction direction, uint32_t tag,
                                const std::vector<Parcel>& parcels) {
  std::vector<std::vector<Bytes>> runs;
  std::vector<Transfer> transfers;
  for (const Parcel& parcel : parcels) {
    runs.emplace_back();
    for (std::vector<char>* tensor : parcel.tensors) {
      runs.back().push_back({tensor->data(), tensor->size()});
    }
    transfers.push_back({direction, parcel.peer, tag, runs.back()});
  }
  absl::StatusOr<Transport::Group> group = transport_->Start(transfers);
  absl::Status status =
      group.ok() ? transport_->Wait(*group, timeout_) : absl::Status(group.status());
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("rank ", transport_->rank(), ", ",
                                                  tag == kInputsTag ? "inputs" : "results", ": ",
                                                  status.message()));
}

absl::Status MpiRanks::SendInputs(const Plan& plan, bool backward, const BatchTensors& batch,
                                  RankTensors* local) {
  std::vector<RankTensors> others;
  std::vector<Parcel> parcels;
  ScatterBatch(plan, 0, batch, local);
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    others.push_back(MakeRankTensors(plan, rank, backward));
    ScatterBatch(plan, rank, batch, &others.back());
  }
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    parcels.push_back({rank, others[rank - 1].Inputs()});
  }
  return Exchange(Direction::kSend, kInputsTag, parcels);
}

absl::Status MpiRanks::ReceiveResults(const Plan& plan, bool backward, const RankTensors& local,
                                      BatchTensors* batch) {
  std::vector<RankTensors> others;
  std::vector<Parcel> parcels;
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    others.push_back(MakeRankTensors(plan, rank, backward));
  }
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    parcels.push_back({rank, others[rank - 1].Results()});
  }
  RETURN_IF_ERROR(Exchange(Direction::kReceive, kResultsTag, parcels));
  GatherBatch(plan, 0, local, batch);
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    GatherBatch(plan, rank, others[rank - 1], batch);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ranks>> MakeMpiRanks(absl::Duration timeout) {
  if (!IsLaunched()) {
    return absl::InvalidArgumentError(
        "--transport: mpi runs one rank in each of several processes: start it with mpirun -n N "
        "flashcp run PLAN --transport mpi, N being the ranks of the plan");
  }
  auto ranks = std::make_unique<MpiRanks>(timeout);
  RETURN_IF_ERROR(ranks->Join());
  return ranks;
}

}  // namespace flashcp::cli

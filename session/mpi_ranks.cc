// The leading process, rank 0, scatters the batch to the others and gathers their results, with
// messages of its own before and after the plan's.

#include "session/mpi_ranks.h"

#include <mpi.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "support/free_memory.h"
#include "support/status_macros.h"

namespace flashcp::session {
namespace {

using Direction = Message::Direction;

// Tags of the messages between the leading rank and another, outside of the plan.
constexpr uint32_t kInputsTag = 0;
constexpr uint32_t kResultsTag = 1;

class MpiRanks : public Ranks {
 public:
  explicit MpiRanks(MpiRanksOptions options) : options_(std::move(options)) {}
  ~MpiRanks() override {
    if (peaceful_ && std::uncaught_exceptions() > 0) {
      peaceful_ = false;
      transport_->Abort(absl::ResourceExhaustedError(OutOfMemoryMessage()));
    }
    if (peaceful_) {
      if (options_.leaving) options_.leaving();
      transport_.reset();
      MPI_Finalize();
    } else {
      // MPI would wait for processes that may be gone, before this one has told its error.
      transport_.release();
    }
  }

  absl::Status Join() {
    int provided;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
      return absl::InternalError("MPI does not start");
    }
    ASSIGN_OR_RETURN(transport_, MakeMpiTransport(MPI_COMM_WORLD, options_.transport));
    if (options_.joined) options_.joined(transport_->rank(), transport_->size());
    peaceful_ = true;
    return absl::OkStatus();
  }

  bool leads() const override { return transport_->rank() == 0; }
  bool Holds(int rank) const override { return transport_->rank() == rank; }

  absl::Status CheckNumber(const Plan& plan) const override {
    if (plan.num_ranks() == transport_->size()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("the plan is for ", plan.num_ranks(),
                                                   " ranks, mpirun started ", transport_->size(),
                                                   " processes"));
  }

  absl::Status Run(const Plan& plan, bool backward, BatchTensors* batch,
                   const std::function<absl::Status(Transport*, RankTensors*)>& run) override {
    absl::StatusOr<RankTensors> local = MakeRankTensors(plan, transport_->rank(), backward);
    absl::Status status =
        local.ok() ? RunLocal(plan, backward, batch, run, &*local) : local.status();
    if (!status.ok()) {
      peaceful_ = false;
      transport_->Abort(status);
    }
    return status;
  }

  absl::Status Agree(const absl::Status& status) override {
    if (!peaceful_) return status;  // all have their errors
    // The leading rank may take any time to read files and check results.
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
  // A message that holds all these tensors.
  struct Parcel {
    int peer;
    std::vector<std::vector<char>*> tensors;
  };
  absl::Status Move(Direction direction, uint32_t tag, const std::vector<Parcel>& parcels);
  absl::Status RunLocal(const Plan& plan, bool backward, BatchTensors* batch,
                        const std::function<absl::Status(Transport*, RankTensors*)>& run,
                        RankTensors* local);
  absl::Status SendInputs(const Plan& plan, bool backward, const BatchTensors& batch,
                          RankTensors* local);
  absl::Status ReceiveResults(const Plan& plan, bool backward, const RankTensors& local,
                              BatchTensors* batch);

  const MpiRanksOptions options_;
  std::unique_ptr<Transport> transport_;
  bool peaceful_ = false;  // MPI has started, and no rank has failed since
};

absl::Status MpiRanks::Move(Direction direction, uint32_t tag, const std::vector<Parcel>& parcels) {
  std::vector<Message> messages;
  std::vector<char*> bases;  // of the tensors: each is a buffer
  for (const Parcel& parcel : parcels) {
    messages.push_back({direction, parcel.peer, tag, {}});
    for (std::vector<char>* tensor : parcel.tensors) {
      messages.back().runs.push_back({static_cast<uint32_t>(bases.size()), 0, tensor->size()});
      bases.push_back(tensor->data());
    }
  }
  absl::StatusOr<std::unique_ptr<Exchange>> exchange = transport_->Prepare(std::move(messages));
  absl::Status status = exchange.ok() ? (*exchange)->Start(bases, nullptr) : exchange.status();
  if (status.ok()) status = (*exchange)->Wait(options_.transport.timeout);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("rank ", transport_->rank(), ", ",
                                                  tag == kInputsTag ? "inputs" : "results", ": ",
                                                  status.message()));
}

// Runs the rank of this process: its inputs come from the leading rank, its results go there.
absl::Status MpiRanks::RunLocal(const Plan& plan, bool backward, BatchTensors* batch,
                                const std::function<absl::Status(Transport*, RankTensors*)>& run,
                                RankTensors* local) {
  if (leads()) {
    RETURN_IF_ERROR(SendInputs(plan, backward, *batch, local));
    RETURN_IF_ERROR(run(transport_.get(), local));
    return ReceiveResults(plan, backward, *local, batch);
  }
  RETURN_IF_ERROR(Move(Direction::kReceive, kInputsTag, {{0, local->Inputs()}}));
  RETURN_IF_ERROR(run(transport_.get(), local));
  return Move(Direction::kSend, kResultsTag, {{0, local->Results()}});
}

absl::Status MpiRanks::SendInputs(const Plan& plan, bool backward, const BatchTensors& batch,
                                  RankTensors* local) {
  std::vector<RankTensors> others;
  std::vector<Parcel> parcels;
  RETURN_IF_ERROR(ScatterBatch(plan, 0, batch, local));
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    ASSIGN_OR_RETURN(RankTensors other, MakeRankTensors(plan, rank, backward));
    RETURN_IF_ERROR(ScatterBatch(plan, rank, batch, &other));
    others.push_back(std::move(other));
  }
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    parcels.push_back({rank, others[rank - 1].Inputs()});
  }
  return Move(Direction::kSend, kInputsTag, parcels);
}

absl::Status MpiRanks::ReceiveResults(const Plan& plan, bool backward, const RankTensors& local,
                                      BatchTensors* batch) {
  std::vector<RankTensors> others;
  std::vector<Parcel> parcels;
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    ASSIGN_OR_RETURN(RankTensors other, MakeRankTensors(plan, rank, backward));
    others.push_back(std::move(other));
  }
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    parcels.push_back({rank, others[rank - 1].Results()});
  }
  RETURN_IF_ERROR(Move(Direction::kReceive, kResultsTag, parcels));
  RETURN_IF_ERROR(GatherBatch(plan, 0, local, batch));
  for (int rank = 1; rank < plan.num_ranks(); ++rank) {
    RETURN_IF_ERROR(GatherBatch(plan, rank, others[rank - 1], batch));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ranks>> MakeMpiRanks(const MpiRanksOptions& options) {
  auto ranks = std::make_unique<MpiRanks>(options);
  RETURN_IF_ERROR(ranks->Join());
  return ranks;
}

}  // namespace flashcp::session

// Joins processes by MPI, which is started if the program has not, and ended with the process.

#include "api/join_mpi.h"

#include <mpi.h>

#include <atomic>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/mpi/mpi_transport.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

// Set once a group has failed: MPI_Finalize could then wait for processes that are gone.
std::atomic<bool> group_failed{false};

// A transport that remembers its failure beyond its own end.
class RememberingTransport : public Transport {
 public:
  explicit RememberingTransport(std::unique_ptr<Transport> base) : base_(std::move(base)) {}

  int rank() const override { return base_->rank(); }
  int size() const override { return base_->size(); }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override {
    return base_->Prepare(std::move(messages));
  }
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override {
    return base_->AllGather(value, timeout);
  }
  void SetComputing(bool computing) override { base_->SetComputing(computing); }
  void Abort(const absl::Status& reason) override {
    group_failed = true;
    base_->Abort(reason);
  }

 private:
  const std::unique_ptr<Transport> base_;
};

void EndMpi() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (!finalized && !group_failed) MPI_Finalize();
}

absl::Status StartMpi() {
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (finalized) return absl::FailedPreconditionError("MPI has been finalised in this process");
  if (initialized) return absl::OkStatus();
  int provided;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
    return absl::InternalError("MPI does not start");
  }
  std::atexit(EndMpi);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Transport>> Join(const JoinMpi& join) {
  if (join.version != FLASHCP_VERSION) {
    return absl::FailedPreconditionError(absl::StrCat("libflashcp.so has version ", join.version,
                                                      ", libflashcp_mpi.so ", FLASHCP_VERSION,
                                                      ": install both from one package"));
  }
  RETURN_IF_ERROR(StartMpi());
  const MPI_Comm communicator =
      join.communicator != nullptr ? MPI_Comm_f2c(*join.communicator) : MPI_COMM_WORLD;
  if (communicator == MPI_COMM_NULL) {
    return absl::InvalidArgumentError(
        absl::StrCat("communicator ", *join.communicator, " is not one of this process"));
  }
  MpiOptions options;
  options.timeout = join.timeout;
  absl::StatusOr<std::unique_ptr<Transport>> transport = MakeMpiTransport(communicator, options);
  if (!transport.ok()) group_failed = true;
  RETURN_IF_ERROR(transport.status());
  return std::make_unique<RememberingTransport>(*std::move(transport));
}

}  // namespace
}  // namespace flashcp::capi

extern "C" void flashcp_internal_join_mpi(flashcp::capi::JoinMpi* join) {
  join->transport = flashcp::capi::Join(*join);
}

// One small message to each other rank, received by a persistent request.

#include "runtime/mpi/mpi_notices.h"

#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "runtime/mpi/mpi_message.h"

namespace flashcp {
namespace {

// Short enough that MPI sends it without waiting for the receiver.
constexpr size_t kMostBytes = 2048;

// A code and the message. Processes of one run have the same architecture.
std::string Encode(const absl::Status& status) {
  int32_t code = static_cast<int32_t>(status.code());
  std::string bytes(sizeof(code), '\0');
  std::memcpy(&bytes[0], &code, sizeof(code));
  absl::string_view text = status.message().substr(0, kMostBytes - sizeof(code));
  bytes.append(text.data(), text.size());
  return bytes;
}

absl::Status Decode(absl::string_view bytes) {
  int32_t code;
  if (bytes.size() < sizeof(code)) return absl::InternalError("a notice is too short");
  std::memcpy(&code, bytes.data(), sizeof(code));
  return absl::Status(static_cast<absl::StatusCode>(code), bytes.substr(sizeof(code)));
}

}  // namespace

MpiNotices::~MpiNotices() {
  if (receive_ == MPI_REQUEST_NULL) return;
  MPI_Cancel(&receive_);
  MPI_Request_free(&receive_);
}

absl::Status MpiNotices::Open(MPI_Comm comm, int tag) {
  comm_ = comm;
  tag_ = tag;
  in_.resize(kMostBytes);
  RETURN_IF_MPI_ERROR(MPI_Comm_size(comm, &size_));
  return PostReceive();
}

absl::Status MpiNotices::PostReceive() {
  if (num_heard_ == size_ - 1) return absl::OkStatus();
  return MpiStatus(
      MPI_Irecv(in_.data(), in_.size(), MPI_BYTE, MPI_ANY_SOURCE, tag_, comm_, &receive_),
      "MPI_Irecv of a notice");
}

absl::Status MpiNotices::Send(const absl::Status& status) {
  if (sent_) return absl::OkStatus();
  sent_ = true;
  out_ = Encode(status);
  int rank;
  RETURN_IF_MPI_ERROR(MPI_Comm_rank(comm_, &rank));
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank) continue;
    sends_.emplace_back();
    RETURN_IF_MPI_ERROR(
        MPI_Isend(out_.data(), out_.size(), MPI_BYTE, peer, tag_, comm_, &sends_.back()));
  }
  return absl::OkStatus();
}

absl::Status MpiNotices::Poll() {
  if (sent_ && !sends_done_) {
    int done = 0;
    RETURN_IF_MPI_ERROR(MPI_Testall(sends_.size(), sends_.data(), &done, MPI_STATUSES_IGNORE));
    sends_done_ = done;
  }
  absl::Status first;
  while (receive_ != MPI_REQUEST_NULL) {
    int done = 0;
    MPI_Status status;
    RETURN_IF_MPI_ERROR(MPI_Test(&receive_, &done, &status));
    if (!done) break;
    ASSIGN_OR_RETURN(size_t bytes, ReceivedBytes(status));
    ++num_heard_;
    absl::Status notice = Decode({in_.data(), bytes});
    if (first.ok()) first = notice;
    RETURN_IF_ERROR(PostReceive());
  }
  return first;
}

}  // namespace flashcp

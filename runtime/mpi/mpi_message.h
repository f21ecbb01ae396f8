// What MPI is told of a message: where its bytes are, as one MPI datatype. Also turns MPI's error
// codes into status.

#ifndef FLASHCP_RUNTIME_MPI_MPI_MESSAGE_H_
#define FLASHCP_RUNTIME_MPI_MPI_MESSAGE_H_

#include <mpi.h>

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/transport.h"
#include "support/status_macros.h"

namespace flashcp {

// OK for MPI_SUCCESS; otherwise Internal, with MPI's text and the call that failed.
absl::Status MpiStatus(int code, const char* call);

#define RETURN_IF_MPI_ERROR(call) RETURN_IF_ERROR(::flashcp::MpiStatus(call, #call))

// The arguments of MPI_Isend and MPI_Irecv: `count` of `type` at `base`.
struct MpiMessage {
  void* base;
  int count;
  MPI_Datatype type;
};

// Makes one MPI message of the runs of a Transfer, without copying them: a single run is sent in
// place, several are one datatype of absolute addresses. Datatypes are kept for the next message of
// the same runs, found by the address of the table of runs. Used by one thread.
class MpiMessages {
 public:
  MpiMessages() = default;
  MpiMessages(const MpiMessages&) = delete;
  ~MpiMessages();  // before MPI_Finalize

  absl::StatusOr<MpiMessage> Of(absl::Span<const Bytes> runs);

  // Of a received message.
  static absl::StatusOr<size_t> ReceivedBytes(const MPI_Status& status);

 private:
  struct Entry {
    std::vector<Bytes> runs;  // that the type was made of
    MPI_Datatype type = MPI_DATATYPE_NULL;
  };
  void Clear();

  absl::flat_hash_map<const Bytes*, Entry> entries_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_MPI_MPI_MESSAGE_H_

// What MPI is told of a message: where its bytes are, as one MPI datatype. Also turns MPI's error
// codes into status.

#ifndef FLASHCP_RUNTIME_MPI_MPI_MESSAGE_H_
#define FLASHCP_RUNTIME_MPI_MPI_MESSAGE_H_

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

// Makes one MPI message of the runs of a Message, without copying them: a single block is sent in
// place, several are one datatype, relative to the buffer of the first run, in which a run of
// several blocks is a vector. It is made at the first
// use and again only when the buffers of the message have moved against each other. Used by one
// thread.
class MpiRuns {
 public:
  // InvalidArgument for a run that MPI cannot count.
  static absl::Status Check(const Message& message);

  explicit MpiRuns(const Message& message);
  MpiRuns(const MpiRuns&) = delete;
  ~MpiRuns();  // before MPI_Finalize

  absl::StatusOr<MpiMessage> At(BufferBases bases);

 private:
  struct Piece {
    size_t buffer;  // of buffers_
    uint64_t offset;
    int size;  // of a block
    int count;
    MPI_Aint stride;
  };

  absl::Status MakeType();

  std::vector<Piece> pieces_;
  std::vector<uint32_t> buffers_;
  std::vector<MPI_Aint> distances_;  // of the buffers from the first one, as type_ has them
  std::vector<MPI_Aint> now_;        // the same, of the present call
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

// Of a received message.
absl::StatusOr<size_t> ReceivedBytes(const MPI_Status& status);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_MPI_MPI_MESSAGE_H_

// The one function of libflashcp_mpi.so, which libflashcp.so opens when a group over MPI is asked
// for: so that a program without MPI needs none. Both libraries come from one build.

#ifndef FLASHCP_API_JOIN_MPI_H_
#define FLASHCP_API_JOIN_MPI_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/flashcp.h"
#include "runtime/transport.h"

namespace flashcp::capi {

// Arguments of the function, and its result.
struct JoinMpi {
  uint32_t version = FLASHCP_VERSION;  // of the caller
  const int* communicator = nullptr;   // null: MPI_COMM_WORLD
  absl::Duration timeout;
  absl::StatusOr<std::unique_ptr<Transport>> transport;  // the result
};

}  // namespace flashcp::capi

extern "C" FLASHCP_API void flashcp_internal_join_mpi(flashcp::capi::JoinMpi* join);

#endif  // FLASHCP_API_JOIN_MPI_H_

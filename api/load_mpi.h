// Finds the function that joins processes by MPI: in the program, or in libflashcp_mpi.so.

#ifndef FLASHCP_API_LOAD_MPI_H_
#define FLASHCP_API_LOAD_MPI_H_

#include "absl/status/statusor.h"
#include "api/join_mpi.h"

namespace flashcp::capi {

// Returns flashcp_internal_join_mpi: that of the program if it is linked in, else that of
// libflashcp_mpi.so in the folder of this library. Unimplemented, with what to install, if it
// cannot be loaded.
absl::StatusOr<void (*)(JoinMpi*)> LoadMpi();

}  // namespace flashcp::capi

#endif  // FLASHCP_API_LOAD_MPI_H_

// The ranks of a run as processes that mpirun has started: this process is one of them, and rank 0
// leads.

#ifndef FLASHCP_SESSION_MPI_RANKS_H_
#define FLASHCP_SESSION_MPI_RANKS_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "runtime/mpi/mpi_transport.h"
#include "session/ranks.h"

namespace flashcp::session {

struct MpiRanksOptions {
  // The timeout is that of every wait for another process, except in Agree.
  MpiOptions transport;
  // If given, called once the processes have joined.
  std::function<void(int rank, int size)> joined;
  // If given, called before this process ends MPI in peace with the others. From then on mpirun may
  // tell this process to end, since another one has ended with an error that all know.
  std::function<void()> leaving;
};

// Starts MPI and joins the processes; only in a process that a launcher of MPI has started.
// Destroying the ranks ends MPI for this process.
absl::StatusOr<std::unique_ptr<Ranks>> MakeMpiRanks(const MpiRanksOptions& options);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_MPI_RANKS_H_

// Ranks as processes that MPI joins, on one machine or on several.

#ifndef FLASHCP_RUNTIME_MPI_MPI_TRANSPORT_H_
#define FLASHCP_RUNTIME_MPI_MPI_TRANSPORT_H_

#include <mpi.h>

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/transport.h"

namespace flashcp {

struct MpiOptions {
  absl::Duration timeout = absl::Seconds(60);  // of joining the processes
  // Where not null: once it is true, which a signal handler may do, waits end with Cancelled.
  const std::atomic<bool>* stop = nullptr;
  // Where not null: the rank that the present call is for, their number where it is for several,
  // and -1 between calls; for a signal handler that ends the process.
  std::atomic<int>* in_call_for = nullptr;
};

// Joins the processes of `parent`, which all call this together; a rank is that of the process in
// `parent`. The transport talks on communicators of its own. MPI is initialised, and the transport
// is used by the thread that may call MPI, and destroyed before MPI_Finalize.
//
// Beyond what every Transport does:
// - A send may complete before its peer has received it. Where the two do not match the receiver
//   learns it, and the sender from a later call.
// - MPI moves large messages during calls to it only. Where MPI_Init_thread gave
//   MPI_THREAD_SERIALIZED or more, a thread of the transport makes such calls while messages are
//   open, and the program makes its own calls to MPI only while none are; otherwise messages move
//   while the process is in a call to a transport, not while it computes.
// - Where MPI_Init_thread gave MPI_THREAD_SERIALIZED or more, any thread may call Abort: a wait
// that
//   is under way ends by it.
// - Once a call has failed, the transport is done with MPI, and messages may still be open: then
//   the process ends without MPI_Finalize, which could wait for them.
absl::StatusOr<std::unique_ptr<Transport>> MakeMpiTransport(MPI_Comm parent,
                                                            const MpiOptions& options = {});

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_MPI_MPI_TRANSPORT_H_

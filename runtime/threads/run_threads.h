// Runs all ranks of a group in this process, each on a thread of its own.

#ifndef FLASHCP_RUNTIME_THREADS_RUN_THREADS_H_
#define FLASHCP_RUNTIME_THREADS_RUN_THREADS_H_

#include <functional>

#include "absl/status/status.h"
#include "runtime/threads/threads_transport.h"
#include "runtime/transport.h"

namespace flashcp {

// Calls run(transport) for every rank of a group of `num_ranks`, at the same time, and returns when
// all calls have. Where one fails or throws, the group ends (Transport::Abort), and the result is
// the error of the lowest rank that failed by itself, not because another rank did.
absl::Status RunThreads(int num_ranks, const std::function<absl::Status(Transport*)>& run);

// The same for a group that the caller has made, and that no rank has joined.
absl::Status RunThreadsOf(ThreadsGroup* group, const std::function<absl::Status(Transport*)>& run);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_THREADS_RUN_THREADS_H_

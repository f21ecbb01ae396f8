// Runs ranks as the processes of an mpirun, for tests that all of these processes run alike.

#ifndef FLASHCP_TESTS_TESTING_RUN_MPI_H_
#define FLASHCP_TESTS_TESTING_RUN_MPI_H_

#include <functional>

#include "absl/status/status.h"
#include "runtime/transport.h"

namespace flashcp::testing {

// As RunThreads, with the first `num_ranks` processes as ranks. All processes call it, and all get
// the same result; those that are no rank only wait for it.
absl::Status RunMpi(int num_ranks, const std::function<absl::Status(Transport*)>& run);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_RUN_MPI_H_

// The conformance suite over MPI processes, and what only they can do.

#include "runtime/mpi/mpi_transport.h"

#include "gtest/gtest.h"
#include "tests/runtime/transport_conformance.h"
#include "tests/testing/run_mpi.h"

namespace flashcp {

INSTANTIATE_TEST_SUITE_P(Mpi, TransportConformanceTest, ::testing::Values(&testing::RunMpi));

}  // namespace flashcp

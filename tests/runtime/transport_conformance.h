// What every transport must do, as one suite over a way to run ranks:
//   INSTANTIATE_TEST_SUITE_P(Threads, TransportConformanceTest, ::testing::Values(&RunThreads));
// Ranks may be processes, each of which runs the whole suite: a rank sees what it has written only.

#ifndef FLASHCP_TESTS_RUNTIME_TRANSPORT_CONFORMANCE_H_
#define FLASHCP_TESTS_RUNTIME_TRANSPORT_CONFORMANCE_H_

#include <functional>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "runtime/transport.h"

namespace flashcp {

// Runs `run` on every rank of a new group of `num_ranks`, as RunThreads does.
using RankRunner = absl::Status (*)(int num_ranks,
                                    const std::function<absl::Status(Transport*)>& run);

class TransportConformanceTest : public ::testing::TestWithParam<RankRunner> {};

}  // namespace flashcp

#endif  // FLASHCP_TESTS_RUNTIME_TRANSPORT_CONFORMANCE_H_

// Which memory a launch reads and writes, by the tables that it was given.

#ifndef FLASHCP_TESTS_TESTING_LAUNCH_ACCESSES_H_
#define FLASHCP_TESTS_TESTING_LAUNCH_ACCESSES_H_

#include <vector>

#include "runtime/kernels.h"
#include "runtime/launch_tables.h"
#include "tests/testing/race_check.h"

namespace flashcp::testing {

std::vector<RaceCheck::Access> AccessesOf(const Launch& launch, const LaunchTables& tables,
                                          const KernelSpec& spec, BufferBases bases);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_LAUNCH_ACCESSES_H_

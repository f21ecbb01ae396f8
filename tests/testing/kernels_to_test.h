// The generated kernels that tests of them run, on whatever CPU they are. What links this in has a
// test that there are some.

#ifndef FLASHCP_TESTS_TESTING_KERNELS_TO_TEST_H_
#define FLASHCP_TESTS_TESTING_KERNELS_TO_TEST_H_

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/cpu/generated_kernels.h"

namespace flashcp::testing {

// Kernels that this CPU runs as they are, and emulated ones of the targets that it lacks.
std::vector<const GeneratedKernel*> KernelsToTest();
// Those for any dim: one for each target, for what all kernels of a target share.
std::vector<const GeneratedKernel*> KernelsForAnyDim();

// The names of their tests.
std::string NameOfKernel(const ::testing::TestParamInfo<const GeneratedKernel*>& info);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_KERNELS_TO_TEST_H_

// The kernels that run on this CPU, and the emulated ones that run on all.

#include "tests/testing/kernels_to_test.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "runtime/cpu/generated_attention.h"

namespace flashcp::testing {

std::vector<const GeneratedKernel*> KernelsToTest() {
  std::vector<const GeneratedKernel*> kernels;
  std::set<std::string> missing;
  for (const GeneratedKernel& kernel : GeneratedKernels()) {
    if (RunsHere(kernel)) {
      kernels.push_back(&kernel);
    } else {
      missing.insert(kernel.target);
    }
  }
  for (const GeneratedKernel& kernel : EmulatedKernels()) {
    if (missing.count(kernel.target) > 0 && RunsHere(kernel)) kernels.push_back(&kernel);
  }
  return kernels;
}

std::vector<const GeneratedKernel*> KernelsForAnyDim() {
  const std::vector<const GeneratedKernel*> all = KernelsToTest();
  std::vector<const GeneratedKernel*> kernels;
  std::copy_if(all.begin(), all.end(), std::back_inserter(kernels),
               [](const GeneratedKernel* kernel) { return kernel->any_dim; });
  return kernels;
}

std::string NameOfKernel(const ::testing::TestParamInfo<const GeneratedKernel*>& info) {
  return info.param->name;
}

namespace {

// Where the CPU has nothing to run, tests of no kernel would pass in silence.
TEST(KernelsToTest, ThisCpuRunsAll) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "no AVX2 here";
  EXPECT_EQ(KernelsToTest().size(), GeneratedKernels().size());
  std::set<std::string> targets, any_dim;
  for (const GeneratedKernel& kernel : GeneratedKernels()) targets.insert(kernel.target);
  for (const GeneratedKernel* kernel : KernelsForAnyDim()) any_dim.insert(kernel->target);
  EXPECT_FALSE(targets.empty());
  EXPECT_EQ(any_dim, targets);
}

}  // namespace
}  // namespace flashcp::testing

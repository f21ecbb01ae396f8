// The choice of kernels: a function of what a CPU is, tried on CPUs that are not this one.

#include "runtime/cpu/kernel_targets.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"

namespace flashcp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr model::DType kTypes[] = {model::DType::kF32, model::DType::kBF16, model::DType::kF16};

CpuDescription CpuOf(const char* vendor, bool avx512, bool avx512_bf16) {
  return {vendor, /*avx2=*/true, avx512, avx512_bf16};
}

TEST(KernelTargetsTest, IntelConvertsBf16) {
  const CpuDescription sapphire_rapids = CpuOf("GenuineIntel", true, true);
  EXPECT_THAT(FastestTargets(sapphire_rapids, model::DType::kBF16),
              ElementsAre("avx512", "avx512-bf16", "avx2"));
}

TEST(KernelTargetsTest, AmdMultipliesPairsOfBf16) {
  const CpuDescription zen4 = CpuOf("AuthenticAMD", true, true);
  EXPECT_THAT(FastestTargets(zen4, model::DType::kBF16),
              ElementsAre("avx512-bf16", "avx512", "avx2"));
}

TEST(KernelTargetsTest, ACpuThatIsNotListedConvertsBf16) {
  EXPECT_THAT(FastestTargets(CpuOf("", true, true), model::DType::kBF16),
              ElementsAre("avx512", "avx512-bf16", "avx2"));
}

TEST(KernelTargetsTest, OtherTypesHaveNoPairs) {
  for (const char* vendor : {"GenuineIntel", "AuthenticAMD"}) {
    for (model::DType element : {model::DType::kF32, model::DType::kF16}) {
      EXPECT_THAT(FastestTargets(CpuOf(vendor, true, true), element),
                  ElementsAre("avx512", "avx2"));
    }
  }
}

TEST(KernelTargetsTest, ACpuTakesWhatItHas) {
  for (const char* vendor : {"GenuineIntel", "AuthenticAMD"}) {
    for (model::DType element : kTypes) {
      EXPECT_THAT(FastestTargets(CpuOf(vendor, true, false), element),
                  ElementsAre("avx512", "avx2"));
      EXPECT_THAT(FastestTargets(CpuOf(vendor, false, false), element), ElementsAre("avx2"));
      EXPECT_THAT(FastestTargets({vendor}, element), IsEmpty());
    }
  }
}

TEST(KernelTargetsTest, EveryTargetHasKernels) {
  for (absl::string_view target : KernelTargets()) {
    const KernelSpec spec = {model::DType::kBF16, 1, 1, 72, 72, 0.1f};
    const GeneratedKernel* kernel = FindGeneratedKernel(spec, target);
    ASSERT_NE(kernel, nullptr) << target;
    EXPECT_EQ(kernel->target, target);
  }
}

TEST(KernelTargetsTest, TheKernelFoundIsThatOfTheFastestTarget) {
  for (model::DType element : kTypes) {
    const auto targets = FastestTargets(ThisCpu(), element);
    const KernelSpec spec = {element, 1, 1, 64, 64, 0.125f};
    const GeneratedKernel* kernel = FindGeneratedKernel(spec);
    EXPECT_EQ(kernel == nullptr ? "" : kernel->target, targets.empty() ? "" : targets[0]);
  }
}

}  // namespace
}  // namespace flashcp

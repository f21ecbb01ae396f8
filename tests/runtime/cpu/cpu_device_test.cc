// The CPU device computes with the kernels that it is told to use, or says why it cannot.

#include "runtime/cpu/cpu_device.h"

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cpu/kernel_targets.h"
#include "runtime/device.h"

namespace flashcp {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::StartsWith;

constexpr model::DType kTypes[] = {model::DType::kF32, model::DType::kBF16, model::DType::kF16};

// The name of the kernels that a device with this option finds.
absl::StatusOr<std::string> Find(const std::string& kernels, model::DType element) {
  CpuDeviceOptions options;
  options.kernels = kernels;
  const std::unique_ptr<Device> device = CreateCpuDevice(options);
  const auto found = device->FindKernels({element, 1, 1, 64, 64, 0.125f});
  if (!found.ok()) return found.status();
  return std::string((*found)->name());
}

TEST(CpuDeviceTest, NamesThoseThatRunHere) {
  const std::vector<std::string> names = CpuKernelNames();
  EXPECT_THAT(names, IsSupersetOf({"generated", "reference"}));
  for (absl::string_view target : KernelTargets()) {
    const bool named = std::find(names.begin(), names.end(), target) != names.end();
    EXPECT_EQ(named, Runs(ThisCpu(), target)) << target;
  }
}

TEST(CpuDeviceTest, UsesTheKernelsItIsToldTo) {
  for (model::DType element : kTypes) {
    EXPECT_EQ(Find("reference", element).value(), "reference");
    for (absl::string_view target : FastestTargets(ThisCpu(), element)) {
      const std::string prefix =
          target == "avx512-bf16" ? "avx512_bf16_64" : absl::StrCat(target, "_64");
      EXPECT_THAT(Find(std::string(target), element).value(), StartsWith(prefix));
    }
  }
}

TEST(CpuDeviceTest, RefusesInstructionsThatTheCpuLacks) {
  for (absl::string_view target : KernelTargets()) {
    if (Runs(ThisCpu(), target)) continue;
    const absl::Status status = Find(std::string(target), model::DType::kBF16).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                StartsWith(absl::StrCat("this CPU lacks the instructions of ", target,
                                        ": expected one that can run here: generated, reference")));
  }
}

TEST(CpuDeviceTest, RefusesKernelsOfAnotherType) {
  for (model::DType element : {model::DType::kF32, model::DType::kF16}) {
    const absl::Status status = Find("avx512-bf16", element).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("takes bf16 alone, not f"));
  }
}

TEST(CpuDeviceTest, RefusesAnUnknownName) {
  const absl::Status status = Find("avx51", model::DType::kF32).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean 'avx512'?"));
}

// Returns the heap memory of this process that is in use.
size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(CpuDeviceTest, SaysWhatKernelsTakeBeforeTheyTakeIt) {
  if (HeapBytes() == 0) GTEST_SKIP() << "this heap does not count";
  for (const std::string& kernels : CpuKernelNames()) {
    for (int dim : {8, 64, 128, 256}) {
      const KernelSpec spec = {model::DType::kBF16, 4, 2, dim, dim, 0.125f};
      CpuDeviceOptions options;
      options.kernels = kernels;
      options.threads = 3;
      const size_t empty = HeapBytes();
      const CpuKernelsFound described = DescribeCpuKernels(spec, options).value();
      EXPECT_LT(HeapBytes(), empty + 1000) << kernels;
      const std::unique_ptr<Device> device = CreateCpuDevice(options);
      const size_t before = HeapBytes();
      const auto found = device->FindKernels(spec).value();
      const size_t taken = HeapBytes() - before;
      EXPECT_EQ(described.name, found->name());
      // Whole pages, and some small objects.
      EXPECT_NEAR(taken, described.scratch_bytes, 12000) << kernels << ", dimension " << dim;
      EXPECT_EQ(described.scratch_bytes > 0,
                kernels != "reference" && found->name() != "reference");
    }
  }
}

TEST(CpuDeviceTest, DescribesNoKernelsThatADeviceRefuses) {
  EXPECT_TRUE(absl::IsNotFound(DescribeCpuKernels({model::DType::kF32, 1, 1, 20, 20, 1}).status()));
  CpuDeviceOptions options;
  options.kernels = "none";
  const KernelSpec spec = {model::DType::kF32, 1, 1, 64, 64, 1};
  EXPECT_TRUE(absl::IsInvalidArgument(DescribeCpuKernels(spec, options).status()));
}

}  // namespace
}  // namespace flashcp

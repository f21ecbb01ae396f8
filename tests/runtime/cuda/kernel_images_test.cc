// The embedded kernels: each is in its images, and all of them are small.

#include "runtime/cuda/kernel_images.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::gpu {
namespace {

using testing::StartsWith;

TEST(KernelImagesTest, EveryKernelIsInThePtxOfItsFile) {
  ASSERT_FALSE(GeneratedKernels().empty());
  for (const GeneratedKernel& kernel : GeneratedKernels()) {
    bool found = false;
    for (const KernelImage& image : KernelImages()) {
      if (absl::string_view(image.file) != kernel.file) continue;
      const absl::StatusOr<std::string> code = Decompress(image);
      ASSERT_TRUE(code.ok()) << code.status();
      if (image.kind == KernelImage::Kind::kPtx) {
        EXPECT_THAT(*code, testing::HasSubstr(absl::StrCat(".entry ", kernel.info.symbol, "(")));
        found = true;
      } else {
        EXPECT_THAT(*code, StartsWith("\x7f"
                                      "ELF"));
        EXPECT_THAT(*code, testing::HasSubstr(kernel.info.symbol));
      }
    }
    EXPECT_TRUE(found) << "bazel/gpu_kernels.bzl lists no shape " << kernel.file << ", of "
                       << kernel.info.symbol;
  }
}

TEST(KernelImagesTest, EveryFileHasAKernel) {
  std::set<std::string> files;
  for (const GeneratedKernel& kernel : GeneratedKernels()) files.insert(kernel.file);
  for (const KernelImage& image : KernelImages()) EXPECT_EQ(files.count(image.file), 1u);
}

TEST(KernelImagesTest, AllTakeLessThanSixMegabytes) {
  size_t bytes = 0;
  for (const KernelImage& image : KernelImages()) bytes += image.compressed_size;
  RecordProperty("bytes", std::to_string(bytes));
  EXPECT_LT(bytes, 6u << 20);
}

}  // namespace
}  // namespace flashcp::gpu

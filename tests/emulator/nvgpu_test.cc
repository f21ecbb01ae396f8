// The kernel of nvgpu_matmul.mlir, as mlir-opt lowers it, gives exact products of small integers:
// its descriptors, tile layouts and fragments are MLIR's, not ours.
//
// MLIR 22 makes three mistakes that the emulator finds, and which are mended here: nothing makes
// the init of the mbarrier visible to TMA, accumulators are zeroed after wgmma.fence, and the wait
// is for all groups but one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "support/files.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/tensor_map.h"

namespace flashcp::emulator {
namespace {

using ::testing::HasSubstr;

constexpr int kSide = 64;

// Returns the string attribute `assembly` of gpu.binary, as MLIR prints it: bytes that are not
// printable are \XX.
std::string AssemblyIn(const std::string& mlir) {
  std::string ptx;
  const size_t begin = mlir.find("assembly = \"") + sizeof("assembly = \"") - 1;
  for (size_t i = begin; mlir[i] != '"'; ++i) {
    if (mlir[i] != '\\') {
      ptx += mlir[i];
    } else if (absl::ascii_isxdigit(mlir[i + 1])) {
      ptx += static_cast<char>(std::stoi(mlir.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      ptx += mlir[++i];
    }
  }
  return ptx.substr(0, ptx.find('\0'));
}

// The element of a small integer.
uint16_t Encode(const std::string& type, int value) {
  if (type == "bf16") {
    const float wide = value;
    uint32_t bits;
    std::memcpy(&bits, &wide, sizeof(bits));
    return bits >> 16;
  }
  const _Float16 half = value;
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return bits;
}

class Nvgpu : public ::testing::TestWithParam<std::string> {
 protected:
  Nvgpu() : a_(kSide * kSide), b_(kSide * kSide), c_(kSide * kSide) {
    for (int row = 0; row < kSide; ++row) {
      for (int column = 0; column < kSide; ++column) {
        a_[row * kSide + column] = Encode(GetParam(), A(row, column));
        b_[row * kSide + column] = Encode(GetParam(), B(row, column));
      }
    }
    maps_[0] = MapOf(a_);
    maps_[1] = MapOf(b_);
    memory_.Register("a", a_);
    memory_.Register("b", b_);
    memory_.Register("c", c_);
    memory_.Register("maps", maps_, sizeof(maps_));
    const std::string path =
        absl::StrCat("tests/emulator/nvgpu_matmul_", GetParam(), ".lowered.mlir");
    ptx_ = AssemblyIn(ReadFile(path, /*max_bytes=*/1 << 20).value());
  }
  static int A(int row, int column) { return (row * 7 + column * 5) % 17 - 8; }
  static int B(int row, int column) { return (row * 3 + column * 11) % 13 - 6; }

  TensorMapImage MapOf(std::vector<uint16_t>& matrix) {
    TensorMap map;
    map.type = GetParam() == "bf16" ? TensorMapType::kBf16 : TensorMapType::kF16;
    map.global = reinterpret_cast<std::byte*>(matrix.data());
    map.dims = {kSide, kSide};
    map.strides = {kSide * 2};
    map.box = {kSide, kSide};
    map.swizzle = Swizzle::k128Bytes;
    return EncodeTiled(map).value();
  }

  // Arguments: the maps, and C as MLIR passes a memref.
  absl::Status RunPtx(const std::string& ptx, const Schedule& schedule) {
    const auto module = Module::Load(ptx);
    if (!module.ok()) return module.status();
    const auto kernel = (*module)->FindKernel("matmul");
    if (!kernel.ok()) return kernel.status();
    const void* const map_a = &maps_[0];
    const void* const map_b = &maps_[1];
    const void* const c = c_.data();
    const int64_t offset = 0, size = kSide, one = 1;
    LaunchOptions options;
    options.block = {128, 1, 1};
    options.schedule = schedule;
    options.races = true;
    return Launch(**kernel, {&map_a, &map_b, &c, &c, &offset, &size, &size, &size, &one}, memory_,
                  options);
  }
  // What MLIR should have made, one mistake left if it has a number.
  std::string Mended(int left = -1) const {
    const std::vector<std::vector<std::pair<const char*, const char*>>> changes = {
        {{"bar.sync \t0;\n\t// begin inline asm\n\t@%p1 prefetch",
          "fence.mbarrier_init.release.cluster;\nbar.sync 0;\n@%p1 prefetch"}},
        {{"wgmma.fence.sync.aligned;", ""},
         {"wgmma.mma_async", "wgmma.fence.sync.aligned;\nwgmma.mma_async"}},
        {{"wait_group.sync.aligned \t1;", "wait_group.sync.aligned 0;"}},
    };
    std::string ptx = ptx_;
    for (int i = 0; i < static_cast<int>(changes.size()); ++i) {
      if (i == left) continue;
      const std::string mended = absl::StrReplaceAll(ptx, changes[i]);
      EXPECT_NE(mended, ptx) << "MLIR has changed: mistake " << i << " is not there";
      ptx = mended;
    }
    return ptx;
  }

  std::vector<uint16_t> a_, b_;
  std::vector<float> c_;
  TensorMapImage maps_[2];
  GlobalMemory memory_;
  std::string ptx_;
};

TEST_P(Nvgpu, ProductsAreExact) {
  for (const auto copies : {Schedule::Copies::kEarly, Schedule::Copies::kLate}) {
    for (const auto products : {Schedule::Products::kAtIssue, Schedule::Products::kAtWait}) {
      Schedule schedule;
      schedule.copies = copies;
      schedule.products = products;
      c_.assign(c_.size(), 0);
      ASSERT_EQ(RunPtx(Mended(), schedule), absl::OkStatus());
      for (int row = 0; row < kSide; ++row) {
        for (int column = 0; column < kSide; ++column) {
          int sum = 0;
          for (int k = 0; k < kSide; ++k) sum += A(row, k) * B(k, column);
          ASSERT_EQ(c_[row * kSide + column], sum) << row << ", " << column;
        }
      }
    }
  }
}

TEST_P(Nvgpu, ItsMistakesAreFound) {
  const auto error = [&](int mistake) {
    return std::string(RunPtx(Mended(mistake), {}).message());
  };
  EXPECT_THAT(error(0), HasSubstr("does not execute fence.proxy.async"));
  EXPECT_THAT(error(1), HasSubstr("was written after the last wgmma.fence"));
  EXPECT_THAT(error(2), HasSubstr("in flight"));
}

INSTANTIATE_TEST_SUITE_P(Types, Nvgpu, ::testing::Values("bf16", "f16"));

}  // namespace
}  // namespace flashcp::emulator
